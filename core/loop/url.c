#include "loop/url.h"

#include <curl/curl.h>
#include <stdio.h>

tda_status url_origin(tda_str url, char *out, size_t size) {
    CURLU *u = curl_url();
    char *copy = url.n ? str_dup(url) : NULL, *scheme = NULL, *host = NULL, *port = NULL;
    bool ok = u && copy && !memchr(url.p, 0, url.n) && !curl_url_set(u, CURLUPART_URL, copy, CURLU_DISALLOW_USER) &&
              !curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) && !curl_url_get(u, CURLUPART_HOST, &host, 0) &&
              !curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) &&
              (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0) &&
              snprintf(out, size, "%s://%s:%s", scheme, host, port) < (int)size;
    /* What a name may be made of, and an address in brackets: no "%", which would be decoded again by the next who reads it. */
    ok = ok && host[strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_[]:")] == 0;
    for (char *p = ok ? out : NULL; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p - 'A' + 'a');
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    free(copy);
    return ok ? TDA_OK : TDA_E_INVALID;
}
