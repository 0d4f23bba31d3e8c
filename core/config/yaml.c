#include "config/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

enum { FILE_MAX = 1 << 20, DEPTH_MAX = 24, NODES_MAX = 100000 }; /* libyaml is quadratic in depth: stopped long before it hurts */

struct reading {
    yaml_parser_t parser;
    const char *name;
    struct buf *report;
    struct ynode *stack[DEPTH_MAX];
    int depth;
    char *key; /* of the member whose value comes next */
    struct ynode *root;
    size_t nodes;
    bool failed;
};

/* ---- the tree ---- */

static struct ynode *node_new(enum ynode_kind kind) {
    struct ynode *n = calloc(1, sizeof *n);
    if (n) n->kind = kind;
    return n;
}

void ynode_free(struct ynode *n) {
    while (n && n->first) {
        struct ynode *child = n->first;
        n->first = child->next;
        ynode_free(child);
    }
    if (!n) return;
    free(n->key);
    free(n->text);
    free(n);
}

static void append(struct ynode *parent, struct ynode *child) {
    child->next = NULL;
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
}

static void detach(struct ynode *parent, struct ynode *child) {
    struct ynode *before = NULL;
    for (struct ynode *n = parent->first; n && n != child; n = n->next) before = n;
    if (before)
        before->next = child->next;
    else
        parent->first = child->next;
    if (parent->last == child) parent->last = before;
    child->next = NULL;
}

static struct ynode *find(const struct ynode *map, const char *key, size_t n) {
    if (!map || map->kind != YNODE_MAP) return NULL;
    for (struct ynode *c = map->first; c; c = c->next)
        if (strlen(c->key) == n && memcmp(c->key, key, n) == 0) return c;
    return NULL;
}

const struct ynode *ynode_find(const struct ynode *map, const char *key) {
    return find(map, key, strlen(key));
}

size_t ynode_count(const struct ynode *n) {
    size_t count = 0;
    for (const struct ynode *c = n->first; c; c = c->next) count++;
    return count;
}

tda_status ynode_put(struct ynode *root, const char *path, struct ynode *value) {
    struct ynode *at = root;
    for (;;) {
        size_t n = strcspn(path, ".");
        struct ynode *child = find(at, path, n);
        bool is_end = path[n] == 0;
        if (child && (is_end || child->kind != YNODE_MAP)) {
            detach(at, child);
            ynode_free(child);
            child = NULL;
        }
        if (!child) {
            child = is_end ? value : node_new(YNODE_MAP);
            char *key = str_dup((tda_str){path, n});
            if (!child || !key) {
                free(key);
                if (child != value) ynode_free(child);
                ynode_free(value);
                return TDA_E_NOMEM;
            }
            free(child->key);
            child->key = key;
            if (!is_end) memcpy(child->where, value->where, sizeof child->where);
            append(at, child);
        }
        if (is_end) return TDA_OK;
        at = child;
        path += n + 1;
    }
}

tda_status ynode_merge(struct ynode *base, struct ynode *over) {
    tda_status s = TDA_OK;
    while (over->first && !s) {
        struct ynode *child = over->first;
        detach(over, child);
        struct ynode *there = find(base, child->key, strlen(child->key));
        if (there && there->kind == YNODE_MAP && child->kind == YNODE_MAP) {
            s = ynode_merge(there, child);
            continue;
        }
        if (there) {
            detach(base, there);
            ynode_free(there);
        }
        append(base, child);
    }
    ynode_free(over);
    return s;
}

/* ---- reading ---- */

static void complain(struct reading *r, yaml_mark_t mark, const char *what) {
    buf_addf(r->report, "%s:%zu:%zu: %s\n", r->name, mark.line + 1, mark.column + 1, what);
    r->failed = true;
}

/* Into the tree: as the root, an item of a list, a member of a map, or as the key of one. False: the node was not taken. */
static bool place(struct reading *r, struct ynode *n, yaml_mark_t mark) {
    struct ynode *parent = r->depth ? r->stack[r->depth - 1] : NULL;
    if (!parent) {
        r->root = n;
        return true;
    }
    if (parent->kind == YNODE_LIST) {
        append(parent, n);
        return true;
    }
    if (r->key) {
        n->key = r->key;
        r->key = NULL;
        append(parent, n);
        return true;
    }
    if (n->kind != YNODE_SCALAR) {
        complain(r, mark, "a key must be plain text");
    } else if (find(parent, n->text, strlen(n->text))) {
        char what[200];
        snprintf(what, sizeof what, "the key \"%.80s\" stands here twice (first at %.40s)", n->text,
                 find(parent, n->text, strlen(n->text))->where);
        complain(r, mark, what);
    } else {
        r->key = n->text;
        n->text = NULL;
    }
    return false;
}

static void add(struct reading *r, struct ynode *n, const yaml_event_t *event) {
    if (!n || ++r->nodes > NODES_MAX) {
        complain(r, event->start_mark, n ? "too many values" : "out of memory");
        ynode_free(n);
        return;
    }
    snprintf(n->where, sizeof n->where, "%.60s:%zu:%zu", r->name, event->start_mark.line + 1, event->start_mark.column + 1);
    if (n->kind != YNODE_SCALAR && r->depth == DEPTH_MAX) {
        complain(r, event->start_mark, "nested too deep");
        ynode_free(n);
        return;
    }
    bool opens = n->kind != YNODE_SCALAR;
    bool taken = place(r, n, event->start_mark);
    if (taken && opens) r->stack[r->depth++] = n;
    if (!taken) ynode_free(n);
}

static void scalar(struct reading *r, const yaml_event_t *event) {
    const char *p = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length;
    if (event->data.scalar.tag || memchr(p, 0, n)) {
        complain(r, event->start_mark, event->data.scalar.tag ? "tags (!...) are not taken" : "a NUL byte in a text");
        return;
    }
    struct ynode *node = node_new(YNODE_SCALAR);
    if (node) {
        node->text = str_dup((tda_str){p, n});
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        if (!node->text) {
            ynode_free(node);
            node = NULL;
        }
    }
    add(r, node, event);
}

/* One event; false after the last. */
static bool take(struct reading *r, const yaml_event_t *event, int *documents) {
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (++*documents > 1) complain(r, event->start_mark, "only one document (---) is taken");
        break;
    case YAML_SCALAR_EVENT: scalar(r, event); break;
    case YAML_ALIAS_EVENT: complain(r, event->start_mark, "aliases (*name) are not taken: write the value out"); break;
    case YAML_SEQUENCE_START_EVENT: add(r, node_new(YNODE_LIST), event); break;
    case YAML_MAPPING_START_EVENT: add(r, node_new(YNODE_MAP), event); break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: r->depth--; break;
    case YAML_STREAM_END_EVENT: return false;
    default: break;
    }
    return !r->failed;
}

static void complain_parser(struct reading *r) {
    const yaml_parser_t *p = &r->parser;
    char what[240];
    if (p->error == YAML_READER_ERROR)
        snprintf(what, sizeof what, "not UTF-8 text: %s (byte %zu)", p->problem, p->problem_offset);
    else
        snprintf(what, sizeof what, "not well-formed YAML: %s%s%s", p->context ? p->context : "", p->context ? ", " : "",
                 p->problem ? p->problem : "out of memory");
    complain(r, p->problem_mark, what);
}

tda_status yaml_parse(tda_str text, const char *name, struct ynode **ret_root, struct buf *report) {
    struct reading r = {.name = name, .report = report};
    yaml_event_t event;
    int documents = 0;
    if (!yaml_parser_initialize(&r.parser)) return TDA_E_NOMEM;
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.p, text.n);
    for (bool more = true; more;) {
        if (!yaml_parser_parse(&r.parser, &event)) {
            complain_parser(&r);
            break;
        }
        more = take(&r, &event, &documents);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&r.parser);
    free(r.key);
    if (!r.failed && !r.root) r.root = node_new(YNODE_MAP);
    bool is_nothing = r.root && r.root->kind == YNODE_SCALAR && !r.root->quoted && r.root->text[0] == 0; /* "---" alone */
    if (is_nothing) r.root->kind = YNODE_MAP;
    if (r.failed || !r.root) {
        ynode_free(r.root);
        return TDA_E_INVALID;
    }
    *ret_root = r.root;
    return TDA_OK;
}

/* ---- files ---- */

static tda_status read_all(int fd, struct buf *text) {
    for (;;) {
        if (buf_reserve(text, 65536)) return text->status;
        ssize_t n = read(fd, text->p + text->n, 65536);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? TDA_E_IO : TDA_OK;
        text->n += (size_t)n;
        if (text->n > FILE_MAX) return TDA_E_LIMIT;
    }
}

tda_status yaml_read_file(const char *path, struct ynode **ret_root, struct buf *report) {
    const char *slash = strrchr(path, '/');
    struct buf text;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    errno = fd < 0 ? errno : 0;
    if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        buf_addf(report, "%s: cannot be read: %s\n", path, errno ? strerror(errno) : "it is no regular file");
        if (fd >= 0) close(fd);
        return TDA_E_IO;
    }
    buf_init(&text, FILE_MAX + 2 * 65536);
    tda_status s = read_all(fd, &text);
    if (s == TDA_E_LIMIT)
        buf_addf(report, "%s: larger than %d bytes\n", path, FILE_MAX);
    else if (s)
        buf_addf(report, "%s: cannot be read: %s\n", path, strerror(errno));
    else
        s = yaml_parse(buf_str(&text), slash ? slash + 1 : path, ret_root, report);
    close(fd);
    buf_fini(&text);
    return s;
}
