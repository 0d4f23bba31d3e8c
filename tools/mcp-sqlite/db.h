/* A database that can only be read, with limits on time, rows and bytes. One thread. */
#ifndef MCP_SQLITE_DB_H
#define MCP_SQLITE_DB_H

#include "json/json.h"

struct db;
struct db_limits {
    int64_t rows;
    int64_t timeout_ms;
    size_t bytes; /* of one result, as JSON */
    size_t cell;  /* of one text; a longer one is cut */
};

/* On failure `why` says what is wrong with the file. */
bool db_open(const char *path, const struct db_limits *limits, struct db **ret, char *why, size_t why_size);
void db_close(struct db *db);

/* Write {"columns": [...], "rows": [[...]], "truncated": bool} to `w`. False: `why` says what and what to do. */
bool db_query(struct db *db, const char *sql, struct jw *w, char *why, size_t why_size);
bool db_tables(struct db *db, struct jw *w, char *why, size_t why_size);
bool db_describe(struct db *db, const char *table, struct jw *w, char *why, size_t why_size);

#endif
