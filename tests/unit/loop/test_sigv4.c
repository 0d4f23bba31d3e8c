/* Signatures against AWS's published vectors (aws-sig-v4-test-suite), and against what its own signer, @smithy/signature-v4 5.7.5,
 * says where there is none: ids with a colon, ARNs. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "loop/sigv4.h"

TestSuite(sigv4, .timeout = 30);

#define TOKEN                                                                                                                      \
    "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/"    \
    "qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+"             \
    "xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="
#define ARN "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.anthropic.claude-x%3A0/converse-stream"

static tda_status sign(const struct sigv4_request *r, tda_str session, const char *service, struct sigv4_signature *sig) {
    struct sigv4_keys k = {.key_id = TDA_STR("AKIDEXAMPLE"),
                           .secret = TDA_STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                           .session = session,
                           .region = TDA_STR("us-east-1"),
                           .service = tda_str_of(service)};
    return sigv4_sign(&k, r, sig);
}

struct row {
    const char *name, *method, *path, *query, *type, *body, *session, *names, *signature;
    bool bedrock;
};

static const char h[] = "host;x-amz-date";
static const struct row rows[] = {
    {"get-vanilla", "GET", "/", NULL, NULL, NULL, NULL, h, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", 0},
    {"get-slash-dot-slash", "GET", "/./", NULL, NULL, NULL, NULL, h,
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", 0},
    {"get-relative-relative", "GET", "/example1/example2/../..", NULL, NULL, NULL, NULL, h,
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31", 0},
    {"get-slashes", "GET", "//example//", NULL, NULL, NULL, NULL, h,
     "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84", 0},
    {"get-utf8", "GET", "/\xe1\x88\xb4", NULL, NULL, NULL, NULL, h,
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85", 0},
    {"get-space", "GET", "/example space/", NULL, NULL, NULL, NULL, h,
     "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741", 0},
    {"get-vanilla-query-order", "GET", "/", "Param2=value2&Param1=value1", NULL, NULL, NULL, h,
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500", 0},
    {"get-vanilla-empty-query-key", "GET", "/", "Param1=value1", NULL, NULL, NULL, h,
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb", 0},
    {"names before values, whatever was encoded", "GET", "/", "%c3%bc=+&a-b=1&a=x%20y", NULL, NULL, NULL, h,
     "1b97ce017f9e63664a6d0315137d5f4ce060d0bb82848a11d51c1aed99d6f0a2", 0},
    {"post-vanilla", "POST", "/", NULL, NULL, NULL, NULL, h, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b", 0},
    {"post-vanilla-query", "POST", "/", "Param1=value1", NULL, NULL, NULL, h,
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11", 0},
    {"post-x-www-form-urlencoded", "POST", "/", NULL, "application/x-www-form-urlencoded", "Param1=value1", NULL,
     "content-type;host;x-amz-date", "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a", 0},
    {"post-sts-header-before", "POST", "/", NULL, NULL, NULL, TOKEN, "host;x-amz-date;x-amz-security-token",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead", 0},
    {"a model's id with a colon", "POST", "/model/anthropic.claude-3-5-sonnet-20241022-v2%3A0/converse", NULL, "application/json",
     "{}", NULL, "content-type;host;x-amz-content-sha256;x-amz-date",
     "f90d1ffff57230eb5fe7b2cda7a813d66a075984a0a6a666ce8e5d6031e53b54", 1},
    {"an ARN, with a session", "POST", ARN, NULL, " application/json  ", "{}", TOKEN,
     "content-type;host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
     "493e3a293ae191e80f3b8c182ca8f7595e69de8c6566185ad5546a42c9369488", 1},
};

static struct sigv4_request request(const struct row *row, tda_kv *headers) {
    headers[0] = (tda_kv){TDA_STR("Accept"), TDA_STR("not signed")};
    headers[1] = (tda_kv){TDA_STR("Content-Type"), tda_str_of(row->type)};
    return (struct sigv4_request){.method = tda_str_of(row->method),
                                  .host = row->bedrock ? TDA_STR("bedrock-runtime.us-east-1.amazonaws.com")
                                                       : TDA_STR("example.amazonaws.com"),
                                  .path = tda_str_of(row->path),
                                  .query = tda_str_of(row->query),
                                  .headers = headers,
                                  .n_headers = row->type ? 2 : 1,
                                  .body = tda_str_of(row->body),
                                  .time_s = 1440938160,
                                  .content_sha256 = row->bedrock};
}

Test(sigv4, vectors) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char expected[600];
        tda_kv headers[2];
        struct sigv4_signature sig;
        struct sigv4_request r = request(&rows[i], headers);
        const char *service = rows[i].bedrock ? "bedrock" : "service";
        cr_assert(sign(&r, tda_str_of(rows[i].session), service, &sig) == TDA_OK, "%s", rows[i].name);
        snprintf(expected, sizeof expected,
                 "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/%s/aws4_request, SignedHeaders=%s, Signature=%s",
                 service, rows[i].names, rows[i].signature);
        cr_expect(tda_str_eq(buf_str(&sig.authorization), tda_str_of(expected)), "%s:\n%.*s\n%s", rows[i].name,
                  STR_FMT(buf_str(&sig.authorization)), expected);
        cr_assert_str_eq(sig.date, "20150830T123600Z");
        buf_fini(&sig.authorization);
    }
}

Test(sigv4, what_cannot_be_signed) {
    tda_kv twice[2] = {{TDA_STR("x-amz-a"), TDA_STR("1")}, {TDA_STR("X-Amz-A"), TDA_STR("2")}};
    tda_kv date = {TDA_STR("x-amz-date"), TDA_STR("20150830T123600Z")};
    char many[2000] = "", deep[2000] = "";
    struct sigv4_signature sig;
    struct sigv4_request r = {.method = TDA_STR("GET"), .host = TDA_STR("h"), .path = TDA_STR("/"), .time_s = 0};
    cr_assert(sign(&r, (tda_str){0}, "service/aws4_request", &sig) == TDA_E_INVALID);
    cr_assert(sign(&r, (tda_str){0}, "", &sig) == TDA_E_INVALID);
    r.headers = twice, r.n_headers = 2;
    cr_assert(sign(&r, (tda_str){0}, "service", &sig) == TDA_E_INVALID, "a header twice");
    r.headers = &date, r.n_headers = 1;
    cr_assert(sign(&r, (tda_str){0}, "service", &sig) == TDA_E_INVALID, "the signer's own");
    r.n_headers = 0;
    for (size_t i = 0; i < 300; i++) strcat(many, "a=1&"), strcat(deep, "/a");
    r.query = tda_str_of(many);
    cr_assert(sign(&r, (tda_str){0}, "service", &sig) == TDA_E_LIMIT, "300 parameters");
    r.query = (tda_str){0};
    r.path = tda_str_of(deep);
    cr_assert(sign(&r, (tda_str){0}, "service", &sig) == TDA_E_LIMIT, "300 steps");
}
