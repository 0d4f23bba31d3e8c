/* The floor of many streams at once: one curl multi, nothing decoded, nothing kept.
 *
 * usage: bench_curl_streams PORT N     N calls at once, prints {"seconds", "cpu_us", "kib"}: the last two of one call */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static long rss_kib(void) {
    long pages = 0, ignored = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &ignored, &pages) != 2) pages = 0; /* NOLINT(cert-err34-c) the kernel's own number */
    if (f) fclose(f);
    return pages * 4;
}

static double cpu(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t swallow(char *p, size_t size, size_t n, void *arg) {
    (void)p, (void)arg;
    return size * n;
}

int main(int argc, char **argv) {
    struct rlimit files = {20000, 20000};
    char url[64];
    int running = 1;
    if (argc != 3) return 2;
    long n = strtol(argv[2], NULL, 10), before, most = 0;
    setrlimit(RLIMIT_NOFILE, &files);
    snprintf(url, sizeof url, "http://127.0.0.1:%s/v1/chat/completions", argv[1]);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM *multi = curl_multi_init();
    struct curl_slist *headers = curl_slist_append(NULL, "content-type: application/json");
    before = rss_kib();
    double t = now(), c = cpu();
    for (long i = 0; i < n; i++) {
        char body[128];
        CURL *e = curl_easy_init();
        snprintf(body, sizeof body,
                 "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"MARK-%05ld\"}]}", i);
        curl_easy_setopt(e, CURLOPT_URL, url);
        curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, body);
        curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, swallow);
        curl_multi_add_handle(multi, e);
    }
    while (running) {
        curl_multi_perform(multi, &running);
        if (rss_kib() > most) most = rss_kib();
        if (running) curl_multi_poll(multi, NULL, 0, 1000, NULL);
    }
    printf("{\"seconds\": %.2f, \"cpu_us\": %.0f, \"kib\": %.1f}\n", now() - t, (cpu() - c) / (double)n * 1e6,
           (double)(most - before) / (double)n);
    return 0;
}
