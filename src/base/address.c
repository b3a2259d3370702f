/* address.c -- which addresses are public: fetch.h's rule.
 *
 * IPv4 after IANA's registry of special purposes; of IPv6 only what is given out as global (2000::/3), and in it again what
 * the registry takes out.  Forms that lead to an IPv4 address (mapped, NAT64, ISATAP) are judged by that. */
#include "base/fetch.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const char here[] = "an unspecified address", loop[] = "a loopback address", own[] = "a private address",
                  link_local[] = "a link-local address", shared[] = "a carrier's shared address", many[] = "a multicast address",
                  reserved[] = "a reserved address", metadata[] = "a cloud's metadata address";

static const struct {
    uint32_t    net;
    unsigned    bits;
    const char *what;
} v4[] = {
    {0x00000000, 8, here},      {0x0A000000, 8, own},         {0x64400000, 10, shared},   {0x7F000000, 8, loop},
    {0xA9FE0000, 16, link_local}, {0xAC100000, 12, own},      {0xC0000000, 24, reserved}, {0xC0000200, 24, reserved},
    {0xC0586300, 24, reserved}, {0xC0A80000, 16, own},        {0xC6120000, 15, reserved}, {0xC6336400, 24, reserved},
    {0xCB007100, 24, reserved}, {0xE0000000, 4, many},        {0xF0000000, 4, reserved},
    {0xA83F8110, 32, metadata},     /* 168.63.129.16: public by its number, answered by the machine's own host */
};

static const struct {
    uint8_t     net[16];
    unsigned    bits;
    const char *what;
} v6[] = {
    {{0}, 128, here},
    {{[15] = 1}, 128, loop},
    {{0xFC}, 7, own},
    {{0xFE, 0x80}, 10, link_local},
    {{0xFE, 0xC0}, 10, own},
    {{0xFF}, 8, many},
    {{0x20, 0x01}, 23, reserved},               /* Teredo and other protocols */
    {{0x20, 0x01, 0x0D, 0xB8}, 32, reserved},
    {{0x20, 0x02}, 16, reserved},               /* 6to4 */
    {{0x3F, 0xFF}, 20, reserved},
};

static const char *refusal_v4(uint32_t a)
{
    for (size_t i = 0; i < sizeof v4 / sizeof v4[0]; i++)
        if ((a ^ v4[i].net) >> (32 - v4[i].bits) == 0)
            return v4[i].what;
    return NULL;
}

static uint32_t word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool in_net(const uint8_t *a, const uint8_t *net, unsigned bits)
{
    unsigned bytes = bits / 8, left = bits % 8;
    return memcmp(a, net, bytes) == 0 && (left == 0 || (a[bytes] ^ net[bytes]) >> (8 - left) == 0);
}

static const char *refusal_v6(const uint8_t *a)
{
    static const uint8_t mapped[12] = {[10] = 0xFF, [11] = 0xFF}, nat64[12] = {0x00, 0x64, 0xFF, 0x9B};
    if (memcmp(a, mapped, sizeof mapped) == 0 || memcmp(a, nat64, sizeof nat64) == 0)
        return refusal_v4(word(a + 12));
    for (size_t i = 0; i < sizeof v6 / sizeof v6[0]; i++)
        if (in_net(a, v6[i].net, v6[i].bits))
            return v6[i].what;
    if (a[0] >> 5 != 1)
        return reserved;
    bool isatap = (word(a + 8) & ~UINT32_C(0x02000000)) == 0x00005EFE;
    return isatap ? refusal_v4(word(a + 12)) : NULL;
}

const char *fetch_refusal(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return refusal_v4(ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr));
    if (a->sa_family == AF_INET6)
        return refusal_v6(((const struct sockaddr_in6 *)(const void *)a)->sin6_addr.s6_addr);
    return "no address of the Internet";
}
