/* site.c -- see site.h. */
#include "site.h"

#include "base/file.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static bool put(int fd, const void *p, size_t n)
{
    for (const char *at = p; n;) {
        ssize_t some = send(fd, at, n, MSG_NOSIGNAL);
        if (some <= 0)
            return false;
        at += some;
        n -= (size_t)some;
    }
    return true;
}

static bool say(int fd, const char *z)
{
    return put(fd, z, strlen(z));
}

static void without_end(int fd)
{
    static char piece[1 << 16];
    while (put(fd, piece, sizeof piece)) {}
}

static void slowly(int fd, unsigned pieces)
{
    for (unsigned i = 0; i < pieces && say(fd, "x"); i++)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

static void packed(struct site *s, int fd)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", s->gzip_bytes);
    (void)(say(fd, head) && put(fd, s->gzip, s->gzip_bytes));
}

static void lead(int fd, const char *to)
{
    char head[2048];
    snprintf(head, sizeof head, "HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to);
    say(fd, head);
}

static void answer(struct site *s, int fd, const char *path)
{
    char line[128];
    if (strcmp(path, "/ok") == 0)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\nhello");
    else if (strncmp(path, "/to/", 4) == 0)
        lead(fd, path + 4);
    else if (strcmp(path, "/round") == 0)
        lead(fd, "/round");
    else if (strncmp(path, "/status/", 8) == 0)
        snprintf(line, sizeof line, "HTTP/1.1 %.3s No\r\nContent-Length: 6\r\n\r\nsecret", path + 8), say(fd, line);
    else if (strcmp(path, "/empty") == 0)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    else if (strcmp(path, "/short") == 0)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello");
    else if (strcmp(path, "/long") == 0)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"), without_end(fd);
    else if (strcmp(path, "/endless") == 0)
        say(fd, "HTTP/1.1 200 OK\r\n\r\n"), without_end(fd);
    else if (strcmp(path, "/lost") == 0)
        say(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\n\r\n"), without_end(fd);
    else if (strcmp(path, "/slow") == 0)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"), slowly(fd, 500);
    else if (strcmp(path, "/silent") == 0)
        (void)!read(fd, line, sizeof line);         /* until the other side goes */
    else if (strcmp(path, "/gzip") == 0 || strcmp(path, "/bomb") == 0)
        packed(s, fd);
    else if (strcmp(path, "/torn") == 0)
        say(fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!");
    else
        say(fd, "what do you mean?\r\n\r\n");
}

static bool head_read(struct site *s, int fd)
{
    size_t n = 0;
    for (;;) {
        ssize_t some = recv(fd, s->last + n, sizeof s->last - 1 - n, 0);
        if (some <= 0 || (unsigned char)s->last[0] == 0x16)     /* TLS */
            return false;
        n += (size_t)some;
        s->last[n] = '\0';
        if (strstr(s->last, "\r\n\r\n"))
            return true;
    }
}

static void *run(void *arg)
{
    struct site *s = arg;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; close(fd)) {
        char path[1024] = "";
        if (!head_read(s, fd))
            continue;
        atomic_fetch_add(&s->asked, 1);
        sscanf(s->last, "GET %1023s", path);
        answer(s, fd, path);
        shutdown(fd, SHUT_WR);
    }
    return NULL;
}

void site_open(struct site *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t          n = sizeof a;
    struct buf         b;
    struct err         e;
    *s = (struct site){.listener = socket(AF_INET, SOCK_STREAM, 0)};
    CHECK(bind(s->listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(s->listener, 16) == 0);
    CHECK(getsockname(s->listener, (struct sockaddr *)&a, &n) == 0);
    s->port = ntohs(a.sin_port);
    buf_init(&b, 0);
    CHECK(file_read(&b, FIXTURES "/base/zeros.gz", 1 << 20, &e));
    s->gzip_bytes = b.n;
    s->gzip = buf_take(&b);
    CHECK(thread_start(&s->thread, "site", run, s, &e));
}

void site_close(struct site *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
    free(s->gzip);
}
