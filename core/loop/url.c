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

/* ---- patterns ---- */

/* Two labels more, before the host of an origin ends: in the text as given "?" or "#" may end it. */
static bool is_narrow(const char *behind) {
    size_t n = strcspn(behind, ":");
    const char *dot = n > 1 && behind[0] == '.' ? memchr(behind + 1, '.', n - 1) : NULL;
    return dot && dot > behind + 1 && dot + 1 < behind + n && dot[1] != '.';
}

/* Judged with a letter in place of the star, which must stand where the star stood. */
tda_status url_pattern(tda_str text, char *out, size_t size) {
    const char *star = text.n ? memchr(text.p, '*', text.n) : NULL;
    if (!star) return url_origin(text, out, size);
    size_t at = (size_t)(star - text.p);
    char *copy GUARD(free_p) = str_dup(text);
    if (!copy) return TDA_E_NOMEM;
    if (at < sizeof "http:/" || (copy[at - 1] != '.' && copy[at - 1] != '/')) return TDA_E_INVALID;
    copy[at] = 'x';
    tda_status s = url_origin(tda_str_of(copy), out, size);
    if (s) return s;
    if (strlen(out) <= at || !str_equal_nocase((tda_str){out, at + 1}, (tda_str){copy, at + 1}) || !is_narrow(out + at + 1))
        return TDA_E_INVALID;
    out[at] = '*';
    return TDA_OK;
}

bool url_matches(const char *pattern, const char *origin) {
    const char *star = strchr(pattern, '*');
    if (!star) return strcmp(pattern, origin) == 0;
    size_t before = (size_t)(star - pattern);
    if (strncmp(pattern, origin, before) != 0) return false;
    size_t label = strspn(origin + before, "abcdefghijklmnopqrstuvwxyz0123456789-_");
    return label > 0 && strcmp(origin + before + label, star + 1) == 0;
}
