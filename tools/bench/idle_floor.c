/* The floor of an idle daemon's memory: a process that has begun to use the same libraries, and does nothing. usage:
 * bench_idle_floor */
#include <curl/curl.h>
#include <nng/nng.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <sqlite3.h>
#include <unistd.h>
#include <yaml.h>

int main(void) {
    unsigned char bytes[32];
    yaml_parser_t yaml;
    nng_stream_listener *listener;
    sqlite3 *db;
    if (curl_global_init(CURL_GLOBAL_ALL) || !curl_multi_init() || !curl_easy_init() || sodium_init() < 0) return 1;
    if (RAND_bytes(bytes, sizeof bytes) != 1 || !yaml_parser_initialize(&yaml)) return 1;
    if (sqlite3_open(":memory:", &db) || sqlite3_exec(db, "create table t (a); insert into t values (1)", NULL, NULL, NULL))
        return 1;
    if (nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0") || nng_stream_listener_listen(listener)) return 1;
    pause();
    return 0;
}
