/* `tda plugin new`: a folder of templates, copied with the plugin's name in its places. */
#include <ctype.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"

enum { TEMPLATE_MAX = 1 << 20, ID_MAX = 32 };

static const char name_mark[] = "@NAME@", minor_mark[] = "@ABI_MINOR@", stem[] = "plugin.";

/* For nftw, which hands nothing on. */
static struct {
    char from[PATH_MAX], to[PATH_MAX];
    const char *name;
    size_t files;
} job;

static bool find_templates(const char *kind, const char *lang, char *out, size_t size) {
    static const char *const places[] = {"../share/tda/plugin-templates", "../../share/tda/plugin-templates"};
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = 0;
    char *slash = strrchr(self, '/');
    if (slash) *slash = 0;
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (snprintf(out, size, "%s/%s/%s/%s", self, places[i], kind, lang) < (int)size && access(out, R_OK) == 0) return true;
    return false;
}

static bool id_ok(const char *id) {
    size_t n = strlen(id);
    return n && n <= ID_MAX && islower((unsigned char)id[0]) && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

/* "plugin.c" becomes NAME.c. */
static bool target_path(const char *path, char *out, size_t size) {
    const char *inside = path + strlen(job.from), *slash = strrchr(inside, '/'), *base = slash ? slash + 1 : inside;
    int n;
    if (strncmp(base, stem, sizeof stem - 1) == 0)
        n = snprintf(out, size, "%s%.*s%s%s", job.to, (int)(base - inside), inside, job.name, base + sizeof stem - 2);
    else
        n = snprintf(out, size, "%s%s", job.to, inside);
    return n > 0 && n < (int)size;
}

/* What stands in a template for something else. */
static bool write_named(const char *path, const char *text) {
    char minor[12];
    FILE *f = fopen(path, "wx");
    if (!f) return false;
    snprintf(minor, sizeof minor, "%u", TDA_ABI_MINOR);
    for (const char *at; (at = strchr(text, '@'));) {
        bool is_name = strncmp(at, name_mark, sizeof name_mark - 1) == 0,
             is_minor = strncmp(at, minor_mark, sizeof minor_mark - 1) == 0;
        size_t n = is_name ? sizeof name_mark - 1 : is_minor ? sizeof minor_mark - 1 : 1;
        fwrite(text, 1, (size_t)(at - text), f);
        fputs(is_name ? job.name : is_minor ? minor : "@", f);
        text = at + n;
    }
    fputs(text, f);
    return fclose(f) == 0;
}

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *at) {
    char to[PATH_MAX];
    size_t n;
    (void)st, (void)at;
    if (!target_path(path, to, sizeof to)) return ENAMETOOLONG;
    if (type == FTW_D) return mkdir(to, 0755) && errno != EEXIST ? errno : 0;
    if (type != FTW_F) return 0;
    const char *text GUARD(free_p) = read_whole(path, TEMPLATE_MAX, &n);
    if (!text || !write_named(to, text)) return errno ? errno : EIO;
    job.files++;
    return 0;
}

/* The kind's own, and what both kinds share in that language. */
static int write_folder(const struct options *o) {
    const char *const kinds[] = {o->kind, "any"};
    snprintf(job.to, sizeof job.to, "%.3000s/%s", o->dir ? o->dir : ".", o->file);
    job.name = o->file;
    if (!find_templates(o->kind, o->lang, job.from, sizeof job.from))
        return usage("there is no template of a %s in %s beside this program", o->kind, o->lang);
    if (mkdir(job.to, 0755)) return usage("%s: %s", job.to, strerror(errno));
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!find_templates(kinds[i], o->lang, job.from, sizeof job.from)) continue;
        int code = nftw(job.from, copy_one, 8, FTW_PHYS);
        if (code) return usage("%s: %s", job.to, strerror(code));
    }
    printf("%zu files in %s\nnext: cd %s && make && make check\n", job.files, job.to, job.to);
    return EXIT_OK;
}

int cmd_new(const struct options *o) {
    static const char *const langs[] = {"c", "cpp", "rust", "go"};
    bool known = false;
    if (!o->kind || (strcmp(o->kind, "provider") != 0 && strcmp(o->kind, "adapter") != 0))
        return usage("new wants provider or adapter: tda plugin new provider --lang c hello");
    for (size_t i = 0; i < ARRAY_LEN(langs) && o->lang; i++) known |= strcmp(langs[i], o->lang) == 0;
    if (!known) return usage("--lang wants c, cpp, rust or go");
    if (!o->file || !id_ok(o->file)) return usage("the name wants [a-z][a-z0-9_-]{0,31}: it becomes the plugin's id");
    return write_folder(o);
}
