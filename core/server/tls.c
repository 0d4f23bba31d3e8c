#include "server/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"

enum { FILE_MAX = 1 << 20 };

struct files {
    struct buf cert, key, ca; /* NUL-terminated PEM */
};

static tda_status wrong(struct error *e, const char *setting, const char *path, const char *why, const char *hint) {
    error_set(e, TDA_E_INVALID, "tls", "%s: %s: %s", setting, path, why);
    error_field(e, "%s", setting);
    if (hint) error_hint(e, "%s", hint);
    return TDA_E_INVALID;
}

static tda_status read_file(const char *setting, const char *path, struct buf *out, struct error *e) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    ssize_t n = fd < 0 || fstat(fd, &st) ? -1 : 0;
    bool is_file = n == 0 && S_ISREG(st.st_mode) && st.st_size < FILE_MAX;
    if (is_file) n = buf_reserve(out, FILE_MAX) ? -1 : read(fd, out->p, FILE_MAX - 1);
    int error = errno;
    if (fd >= 0) close(fd);
    if (n < 0) return wrong(e, setting, path, strerror(error), NULL);
    if (!is_file) return wrong(e, setting, path, "no file of PEM", NULL);
    out->n = (size_t)n;
    return buf_add_char(out, 0);
}

/* No passphrase is asked for: a daemon has nobody to ask. */
static int no_passphrase(char *out, int size, int writing, void *arg) {
    (void)out, (void)size, (void)writing, (void)arg;
    return -1;
}

static BIO *bio_of(const struct buf *b) {
    return BIO_new_mem_buf(b->p, (int)(b->n - 1));
}

static tda_status read_cert(const char *setting, const char *path, const struct buf *pem, X509 **ret, struct error *e) {
    BIO *bio = bio_of(pem);
    *ret = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    ERR_clear_error();
    return *ret ? TDA_OK : wrong(e, setting, path, "holds no certificate in PEM", "it begins with -----BEGIN CERTIFICATE-----");
}

static tda_status check_key(const struct config *c, const struct files *f, X509 *cert, struct error *e) {
    BIO *bio = bio_of(&f->key);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    bool fits = key && X509_check_private_key(cert, key) == 1;
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    if (!key)
        return wrong(e, "tls.key", c->tls_key, "holds no private key in PEM, or one with a passphrase",
                     "openssl pkey -in FILE takes the passphrase off");
    return fits ? TDA_OK : wrong(e, "tls.key", c->tls_key, "is not the key of the certificate in tls.cert", NULL);
}

static tda_status check(const struct config *c, const struct files *f, struct error *e) {
    X509 *cert = NULL, *ca = NULL;
    tda_status s = read_cert("tls.cert", c->tls_cert, &f->cert, &cert, e);
    if (!s) s = check_key(c, f, cert, e);
    if (!s && c->tls_ca[0]) s = read_cert("tls.ca", c->tls_ca, &f->ca, &ca, e);
    if (!s && X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
        log_warn("the certificate has run out: clients will refuse it", LOG_Z("file", c->tls_cert));
    X509_free(cert);
    X509_free(ca);
    return s;
}

static tda_status read_files(const struct config *c, struct files *f, struct error *e) {
    tda_status s = read_file("tls.cert", c->tls_cert, &f->cert, e);
    if (!s) s = read_file("tls.key", c->tls_key, &f->key, e);
    if (!s && c->tls_ca[0]) s = read_file("tls.ca", c->tls_ca, &f->ca, e);
    return s ? s : check(c, f, e);
}

static int make(const struct config *c, const struct files *f, nng_tls_config **ret) {
    nng_tls_config *tls = NULL;
    int rc = nng_tls_config_alloc(&tls, NNG_TLS_MODE_SERVER);
    if (!rc) rc = nng_tls_config_own_cert(tls, f->cert.p, f->key.p, NULL);
    if (!rc && c->tls_ca[0]) rc = nng_tls_config_ca_chain(tls, f->ca.p, NULL);
    if (!rc) rc = nng_tls_config_auth_mode(tls, c->tls_ca[0] ? NNG_TLS_AUTH_MODE_REQUIRED : NNG_TLS_AUTH_MODE_NONE);
    if (!rc)
        *ret = tls;
    else if (tls)
        nng_tls_config_free(tls);
    return rc;
}

tda_status tls_load(const struct config *c, const char *url, nng_tls_config **ret, struct error *e) {
    struct files f;
    if (!c->tls_cert[0] || !c->tls_key[0]) {
        error_set(e, TDA_E_INVALID, "tls", "cannot listen on %s: it needs a certificate and its key", url);
        error_field(e, "tls");
        error_hint(e, "tls: {cert: /etc/tda/cert.pem, key: /etc/tda/key.pem}");
        return TDA_E_INVALID;
    }
    buf_init(&f.cert, FILE_MAX + 1);
    buf_init(&f.key, FILE_MAX + 1);
    buf_init(&f.ca, FILE_MAX + 1);
    tda_status s = read_files(c, &f, e);
    int rc = s ? 0 : make(c, &f, ret);
    if (rc) s = error_set(e, TDA_E_INVALID, "tls", "tls.cert and tls.key cannot be used: %s", nng_strerror(rc));
    if (f.key.p) wipe(f.key.p, f.key.cap);
    buf_fini(&f.cert);
    buf_fini(&f.key);
    buf_fini(&f.ca);
    return s;
}
