/* `tda plugin ...`: for authors of plugins. A program of its own, because it loads files that nobody vouches for. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "cmd.h"

static const struct {
    const char *name, *arguments, *help;
    int (*run)(const struct options *o);
    bool wants_file;
} commands[] = {
    {"list", "[--dir DIR]", "plugins in a folder, from their notes", cmd_list, false},
    {"info", "FILE", "what the note says; nothing is executed", cmd_info, true},
    {"check", "FILE [--fixtures DIR] [--fuzz SECONDS]", "does it keep the contract", cmd_check, true},
    {"bench", "FILE [--fixtures DIR]", "calls and events a second, processor time and memory a call", cmd_bench, true},
    {"new", "provider|adapter --lang c|cpp|rust|go NAME", "a folder that builds and passes check", cmd_new, false},
};

int usage(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    fputs("tda plugin: ", stderr);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputs("\ntry: tda plugin --help\n", stderr);
    return EXIT_USAGE;
}

static int help(void) {
    puts("usage: tda plugin COMMAND [ARGUMENTS]\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-6s %-42s %s\n", commands[i].name, commands[i].arguments, commands[i].help);
    puts("\noptions:\n"
         "  --json, --tap        for programs\n"
         "  --fixtures DIR       recorded conversations of your service: NAME.case\n"
         "  --fuzz SECONDS       spoilt answers, by a seed that is printed\n"
         "  --seed SEED          where the fuzzing begins\n"
         "  --reproduce SEED     one round of it\n"
         "  --calls N            calls in the search for leaks (default 10000)\n"
         "  --deadline SECONDS   for each case (default 120)\n"
         "  --dir DIR            list: the folder; new: where to write (default .)\n"
         "\nexit codes: 0 nothing to complain of, 1 something is, 2 wrong usage\n"
         "TDA_TEST_LOG=1 shows what the plugin logs and every transcript");
    return EXIT_OK;
}

static bool number(const char *text, uint64_t max, uint64_t *ret) {
    char *end;
    errno = 0;
    unsigned long long v = text ? strtoull(text, &end, 0) : 0;
    if (!text || end == text || *end || errno || v > max) return false;
    *ret = v;
    return true;
}

/* -1: taken; else the exit code. */
static int take_option(struct options *o, const char *name, const char *value) {
    static const struct {
        const char *name;
        size_t offset;
    } texts[] = {{"--fixtures", offsetof(struct options, fixtures)},
                 {"--dir", offsetof(struct options, dir)},
                 {"--lang", offsetof(struct options, lang)}};
    uint64_t v = 0;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (strcmp(texts[i].name, name) != 0) continue;
        if (!value) return usage("%s wants a value", name);
        memcpy((char *)o + texts[i].offset, &value, sizeof value);
        return -1;
    }
    bool seed = strcmp(name, "--seed") == 0 || strcmp(name, "--reproduce") == 0;
    if (!number(value, seed ? UINT64_MAX : 1000000, &v)) return usage("%s wants a number", name);
    if (seed)
        o->seed = v;
    else if (strcmp(name, "--fuzz") == 0)
        o->fuzz_s = (unsigned)v;
    else if (strcmp(name, "--calls") == 0)
        o->calls = (unsigned)v;
    else
        o->deadline_s = (unsigned)v;
    o->reproduce |= strcmp(name, "--reproduce") == 0;
    return -1;
}

static int take_flag(struct options *o, const char *name) {
    if (strcmp(name, "--json") == 0 || strcmp(name, "-j") == 0)
        o->json = true;
    else if (strcmp(name, "--tap") == 0)
        o->tap = true;
    else if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        o->help = true;
    else
        return 0;
    return 1;
}

static bool has_value(const char *name) {
    static const char *const names[] = {"--fixtures",  "--dir",  "--lang",  "--seed",
                                        "--reproduce", "--fuzz", "--calls", "--deadline"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static int parse(int argc, char **argv, struct options *o) {
    for (int i = 2; i < argc; i++) {
        int code = -1;
        if (take_flag(o, argv[i])) continue;
        if (has_value(argv[i])) {
            code = take_option(o, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
            i++;
        } else if (argv[i][0] == '-') {
            code = usage("there is no option %s", argv[i]);
        } else if (strcmp(argv[1], "new") == 0 && !o->kind) {
            o->kind = argv[i];
        } else if (!o->file) {
            o->file = argv[i];
        } else {
            code = usage("one file is enough, \"%s\" is too much", argv[i]);
        }
        if (code >= 0) return code;
    }
    return -1;
}

int main(int argc, char **argv) {
    struct timespec now;
    struct options o = {.calls = 10000, .deadline_s = 120};
    clock_gettime(CLOCK_REALTIME, &now);
    o.seed = (uint64_t)now.tv_nsec * 2654435761u ^ (uint64_t)now.tv_sec;
    int code = argc > 1 ? parse(argc, argv, &o) : -1;
    if (code >= 0) return code;
    if (argc < 2 || o.help || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) return help();
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, argv[1]) != 0) continue;
        if (commands[i].wants_file && !o.file) return usage("%s wants a file", argv[1]);
        return commands[i].run(&o);
    }
    return usage("there is no command \"%s\"", argv[1]);
}
