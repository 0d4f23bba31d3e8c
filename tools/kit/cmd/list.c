/* `tda plugin list` and `info`: what the notes say, executing nothing. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "cmd.h"

static void write_names(struct jw *w, const char *key, const char *const *list, size_t n) {
    jw_open_array(w, key);
    for (size_t i = 0; i < n; i++) jw_str(w, tda_str_of(list[i]));
    jw_end_array(w);
}

static void write_note(struct jw *w, const struct audit *a) {
    char abi[32];
    snprintf(abi, sizeof abi, "%u.%u", a->abi.abi_major, a->abi.abi_minor);
    jw_put_z(w, "id", a->note.id);
    jw_put_z(w, "version", a->note.version);
    jw_put_z(w, "interface", abi);
    write_names(w, "provides", a->note.provides, a->note.n_provides);
    write_names(w, "needs", a->note.needs, a->note.n_needs);
    write_names(w, "hosts", a->note.hosts, a->note.n_hosts);
    write_names(w, "libraries", a->needed, a->n_needed);
    jw_put_z(w, "glibc", a->glibc);
    jw_open_array(w, "config");
    for (size_t i = 0; i < a->note.n_rules; i++) {
        const struct setting_rule *r = &a->note.rules[i];
        jw_begin_object(w);
        jw_put_z(w, "name", r->name);
        jw_put_z(w, "type", r->type);
        jw_put_bool(w, "user", r->user);
        jw_put_bool(w, "required", r->required);
        if (r->fallback) jw_put_z(w, "default", r->fallback);
        jw_open_array(w, "variables");
        for (size_t k = 0; k < a->note.n_variables; k++)
            if (a->note.variables[k].rule == i) jw_str(w, tda_str_of(a->note.variables[k].variable));
        jw_end_array(w);
        jw_put_z(w, "help", r->help);
        jw_end_object(w);
    }
    jw_end_array(w);
}

static void print_list(const char *name, const char *const *list, size_t n) {
    if (!n) return;
    printf("%-10s", name);
    for (size_t i = 0; i < n; i++) printf("%s%s", i ? ", " : "", list[i]);
    putchar('\n');
}

static void print_note(const struct audit *a) {
    printf("%-10s%s %s\n%-10s%u.%u\n", "plugin", a->note.id, a->note.version, "interface", a->abi.abi_major, a->abi.abi_minor);
    print_list("provides", a->note.provides, a->note.n_provides);
    print_list("needs", a->note.needs, a->note.n_needs);
    print_list("hosts", a->note.hosts, a->note.n_hosts);
    print_list("libraries", a->needed, a->n_needed);
    if (a->glibc[0]) printf("%-10s%s or later\n", "glibc", a->glibc);
    for (size_t i = 0; i < a->note.n_rules; i++) {
        const struct setting_rule *r = &a->note.rules[i];
        printf("%-10s%-16s %-7s%s%s%s%s", i ? "" : "settings", r->name, r->type, r->user ? " user's" : "",
               r->required ? " required" : "", r->fallback ? " default " : "", r->fallback ? r->fallback : "");
        for (size_t k = 0; k < a->note.n_variables; k++)
            if (a->note.variables[k].rule == i) printf(" $%s", a->note.variables[k].variable);
        printf("  %s\n", r->help);
    }
}

static void print_document(struct buf *out) {
    printf("%.*s\n", STR_FMT(buf_str(out)));
    buf_fini(out);
}

int cmd_info(const struct options *o) {
    struct error e = {.retry_ms = -1};
    struct audit a;
    struct buf out;
    struct jw w;
    tda_status s = audit_file(o->file, &a, &e);
    if (s) {
        fprintf(stderr, "tda plugin: %s: %s%s%s\n", o->file, e.text, e.hint[0] ? "; " : "", e.hint);
        audit_fini(&a);
        return s == TDA_E_NOT_FOUND ? EXIT_USAGE : EXIT_FOUND;
    }
    if (o->json) {
        buf_init(&out, 1 << 20);
        jw_init(&w, &out);
        jw_begin_object(&w);
        jw_put_z(&w, "file", o->file);
        write_note(&w, &a);
        jw_end_object(&w);
        print_document(&out);
    } else {
        print_note(&a);
    }
    audit_fini(&a);
    return EXIT_OK;
}

/* ---- list ---- */

/* The folder of installed plugins, as seen from this program. */
static const char *plugin_dir(const struct options *o, char *out, size_t size) {
    static const char *const places[] = {"../plugins", "../../" TDA_LIBDIR "/tda/plugins"}; /* built; installed in libexec/tda */
    char self[PATH_MAX];
    if (o->dir) return o->dir;
    if (getenv("TDA_PLUGIN_DIR")) return getenv("TDA_PLUGIN_DIR");
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (snprintf(out, size, "%s/%s", self, places[i]) < (int)size && access(out, X_OK) == 0) return out;
    return NULL;
}

static int is_module(const struct dirent *d) {
    size_t n = strlen(d->d_name);
    return n > 3 && strcmp(d->d_name + n - 3, ".so") == 0;
}

static void list_one(const char *dir, const char *name, struct jw *w) {
    char path[PATH_MAX];
    struct error e = {.retry_ms = -1};
    struct audit a;
    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path) return;
    tda_status s = audit_file(path, &a, &e);
    bool fits = !s && a.abi.abi_major == TDA_ABI_MAJOR && a.abi.abi_minor == TDA_ABI_MINOR;
    if (w) {
        jw_begin_object(w);
        jw_put_z(w, "file", path);
        if (!s) write_note(w, &a);
        jw_put_bool(w, "fits", fits);
        if (s) jw_put_z(w, "reason", e.text);
        jw_end_object(w);
    } else if (s) {
        printf("%-16s %-10s %-6s %s\n", name, "-", "-", e.text);
    } else {
        printf("%-16s %-10s %u.%-4u %s%s%s\n", a.note.id, a.note.version, a.abi.abi_major, a.abi.abi_minor, a.note.provides[0],
               a.note.n_provides > 1 ? ", ..." : "", fits ? "" : "  (built for another version of the interface)");
    }
    audit_fini(&a);
}

int cmd_list(const struct options *o) {
    char found_dir[PATH_MAX];
    struct dirent **names;
    struct buf out;
    struct jw w;
    const char *dir = plugin_dir(o, found_dir, sizeof found_dir);
    int n = dir ? scandir(dir, &names, is_module, alphasort) : -1;
    if (n < 0) return usage("%s: no folder of plugins; name one with --dir", dir ? dir : "?");
    buf_init(&out, 16 << 20);
    jw_init(&w, &out);
    if (o->json)
        jw_begin_array(&w);
    else
        printf("%-16s %-10s %-6s %s\n", "ID", "VERSION", "ABI", "PROVIDES");
    for (int i = 0; i < n; i++) {
        list_one(dir, names[i]->d_name, o->json ? &w : NULL);
        free(names[i]);
    }
    free(names);
    if (o->json) jw_end_array(&w);
    if (o->json) print_document(&out);
    return EXIT_OK;
}
