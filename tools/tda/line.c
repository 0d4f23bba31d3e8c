#include "line.h"

#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_LINES = 1000, PATH_SIZE = 4096 };

struct line {
    const char *prompt;
    const char *const *words;
    EditLine *editor; /* NULL: input is no terminal */
    History *history;
    char path[PATH_SIZE]; /* of the history; "": nowhere */
    char *text;
    size_t size;
};

/* ---- keys ---- */

static struct line *self_of(EditLine *e) {
    struct line *l = NULL;
    el_get(e, EL_CLIENTDATA, &l);
    return l;
}

static char *prompt_of(EditLine *e) {
    return (char *)(uintptr_t)self_of(e)->prompt;
}

static unsigned char on_interrupt(EditLine *e, int key) {
    (void)key;
    const LineInfo *info = el_line(e);
    el_cursor(e, (int)(info->lastchar - info->cursor));
    el_deletestr(e, (int)(info->lastchar - info->buffer));
    fputs("^C\n", stdout);
    return CC_REDISPLAY;
}

static unsigned char on_suspend(EditLine *e, int key) {
    (void)key;
    el_set(e, EL_PREP_TERM, 0);
    kill(0, SIGTSTP);
    el_set(e, EL_PREP_TERM, 1);
    return CC_REDISPLAY;
}

static unsigned char on_tab(EditLine *e, int key) {
    (void)key;
    const LineInfo *info = el_line(e);
    size_t n = (size_t)(info->cursor - info->buffer);
    const char *found = NULL;
    for (const char *const *w = self_of(e)->words; *w; w++) {
        if (!n || strncmp(*w, info->buffer, n) != 0) continue;
        if (found) return CC_REFRESH_BEEP;
        found = *w;
    }
    if (!found || el_insertstr(e, found + n) || el_insertstr(e, " ")) return CC_REFRESH_BEEP;
    return CC_REFRESH;
}

static void bind_keys(EditLine *e) {
    el_set(e, EL_EDITOR, "emacs");
    el_set(e, EL_SETTY, "-d", "-isig", NULL); /* Ctrl-C and Ctrl-Z are keys while a line is edited, and signals otherwise */
    el_wset(e, EL_ADDFN, L"tda-interrupt", L"empty the line", on_interrupt); /* el_set would leak copies of the names */
    el_wset(e, EL_ADDFN, L"tda-suspend", L"suspend the program", on_suspend);
    el_wset(e, EL_ADDFN, L"tda-complete", L"complete a command", on_tab);
    el_set(e, EL_BIND, "^C", "tda-interrupt", NULL);
    el_set(e, EL_BIND, "^Z", "tda-suspend", NULL);
    el_set(e, EL_BIND, "^I", "tda-complete", NULL);
    el_set(e, EL_BIND, "^R", "em-inc-search-prev", NULL);
}

/* ---- history ---- */

/* $XDG_STATE_HOME/tda/chat_history, or ~/.local/state/...; its folders are made. */
static void find_path(char path[PATH_SIZE]) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = state && state[0] == '/' ? snprintf(path, PATH_SIZE, "%s/tda/chat_history", state)
            : home && home[0] == '/' ? snprintf(path, PATH_SIZE, "%s/.local/state/tda/chat_history", home)
                                     : 0;
    if (n <= 0 || n >= PATH_SIZE) {
        path[0] = 0;
        return;
    }
    for (char *p = path + 1; *p; p++) {
        if (*p != '/') continue;
        *p = 0;
        mkdir(path, 0700);
        *p = '/';
    }
}

static void remember(struct line *l, const char *text) {
    HistEvent ev;
    if (!text[0]) return;
    history(l->history, &ev, H_ENTER, text);
    if (l->path[0]) history(l->history, &ev, H_SAVE, l->path); /* each time: whoever is killed keeps what he asked */
}

/* ---- life ---- */

static bool open_editor(struct line *l) {
    HistEvent ev;
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
    l->editor = el_init("tda", stdin, stdout, stderr);
    l->history = history_init();
    if (!l->editor || !l->history) return false;
    find_path(l->path);
    history(l->history, &ev, H_SETSIZE, HISTORY_LINES);
    history(l->history, &ev, H_SETUNIQUE, 1);
    if (l->path[0]) history(l->history, &ev, H_LOAD, l->path);
    el_set(l->editor, EL_CLIENTDATA, l);
    el_set(l->editor, EL_PROMPT, prompt_of);
    el_set(l->editor, EL_HIST, history, l->history);
    el_set(l->editor, EL_SIGNAL, 1);
    bind_keys(l->editor);
    el_source(l->editor, NULL); /* the user's own ~/.editrc */
    return true;
}

struct line *line_open(const char *prompt, const char *const *words) {
    struct line *l = calloc(1, sizeof *l);
    if (!l) return NULL;
    l->prompt = prompt;
    l->words = words;
    if (!isatty(0) || !isatty(1) || open_editor(l)) return l;
    line_close(l);
    return NULL;
}

static void drop_end(char *text) {
    size_t n = strlen(text);
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) text[--n] = 0;
}

static bool read_edited(struct line *l) {
    int count = 0;
    const char *text = el_gets(l->editor, &count);
    free(l->text);
    l->text = text && count > 0 ? strdup(text) : NULL;
    return l->text;
}

const char *line_read(struct line *l) {
    if (!(l->editor ? read_edited(l) : getline(&l->text, &l->size, stdin) >= 0)) return NULL;
    drop_end(l->text);
    if (l->editor) remember(l, l->text);
    return l->text;
}

void line_close(struct line *l) {
    if (!l) return;
    if (l->editor) el_end(l->editor);
    if (l->history) history_end(l->history);
    free(l->text);
    free(l);
}
