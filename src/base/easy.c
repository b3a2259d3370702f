/* easy.c -- see easy.h. */
#include "base/easy.h"

enum { CONNECT_MS_MAX = 15000 };

CURL *easy_new(const char *authorities)
{
    CURL *h = curl_easy_init();
    CHECK(h);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "hearth/" HEARTH_VERSION);
    curl_easy_setopt(h, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(h, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(h, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS_MAX);
    if (authorities)
        curl_easy_setopt(h, CURLOPT_CAINFO, authorities);
    return h;
}

bool easy_redirect(CURL *h, struct buf *url)
{
    long  status = 0;
    char *next = NULL;      /* curl's; it goes with the next request */
    if (curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK || status / 100 != 3 ||
        curl_easy_getinfo(h, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || !next)
        return false;
    buf_clear(url);
    return buf_str(url, str_of(next));
}
