/* A file judged without executing any of it. core/plugin's audit comes first and is what the host applies; here come the facts that
 * decide whether the file will do well in a process with others. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "plugin/elf_audit.h"

enum { FILE_MAX = 256 << 20, SYMBOLS_MAX = 1 << 20 };

struct elf {
    tda_str file;
    Elf64_Ehdr head;
    const Elf64_Dyn *dynamic; /* copied */
    size_t n_dynamic;
    const char *strings;
    size_t strings_room;
};

const char *read_whole(const char *path, size_t max, size_t *ret_n) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return NULL;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (size_t)st.st_size <= max;
    char *p = ok ? malloc((size_t)st.st_size + 1) : NULL;
    size_t n = 0;
    for (ssize_t got = 1; p && got > 0 && n<(size_t)st.st_size; n += got> 0 ? (size_t)got : 0)
        got = read(fd, p + n, (size_t)st.st_size - n);
    close(fd);
    if (!p) {
        errno = ok ? ENOMEM : EINVAL;
        return NULL;
    }
    p[n] = 0;
    *ret_n = n;
    return p;
}

static const char *bytes_at(const struct elf *x, uint64_t at, uint64_t n) {
    return at <= x->file.n && n <= x->file.n - at ? x->file.p + at : NULL;
}

static Elf64_Phdr program_header(const struct elf *x, size_t i) {
    Elf64_Phdr ph;
    memcpy(&ph, x->file.p + x->head.e_phoff + i * sizeof ph, sizeof ph);
    return ph;
}

static const char *at_address(const struct elf *x, uint64_t address, size_t *ret_room) {
    for (size_t i = 0; i < x->head.e_phnum; i++) {
        Elf64_Phdr ph = program_header(x, i);
        if (ph.p_type != PT_LOAD || address < ph.p_vaddr || address - ph.p_vaddr >= ph.p_filesz) continue;
        *ret_room = (size_t)(ph.p_filesz - (address - ph.p_vaddr));
        return bytes_at(x, ph.p_offset + (address - ph.p_vaddr), *ret_room);
    }
    return NULL;
}

/* NULL unless it ends within the table. */
static const char *string_at(const struct elf *x, uint64_t offset) {
    if (offset >= x->strings_room || !memchr(x->strings + offset, 0, x->strings_room - offset)) return NULL;
    return x->strings + offset;
}

static uint64_t dynamic_value(const struct elf *x, int64_t tag, bool *ret_there) {
    for (size_t i = 0; i < x->n_dynamic; i++) {
        if (x->dynamic[i].d_tag != tag) continue;
        if (ret_there) *ret_there = true;
        return x->dynamic[i].d_un.d_val;
    }
    return 0;
}

/* ---- segments and flags ---- */

static void read_segments(struct elf *x, struct audit *a, Elf64_Dyn **ret_dynamic) {
    a->exec_stack = true; /* without a PT_GNU_STACK the kernel thinks so */
    for (size_t i = 0; i < x->head.e_phnum; i++) {
        Elf64_Phdr ph = program_header(x, i);
        if (ph.p_type == PT_GNU_RELRO) a->relro = true;
        if (ph.p_type == PT_GNU_STACK) a->exec_stack = (ph.p_flags & PF_X) != 0;
        if (ph.p_type == PT_LOAD && (ph.p_flags & PF_W) && (ph.p_flags & PF_X)) a->write_exec = true;
        const char *p = ph.p_type == PT_DYNAMIC ? bytes_at(x, ph.p_offset, ph.p_filesz) : NULL;
        if (!p || *ret_dynamic) continue;
        x->n_dynamic = ph.p_filesz / sizeof(Elf64_Dyn);
        *ret_dynamic = malloc(x->n_dynamic * sizeof(Elf64_Dyn) + 1);
        if (*ret_dynamic) memcpy(*ret_dynamic, p, x->n_dynamic * sizeof(Elf64_Dyn));
        x->dynamic = *ret_dynamic;
        if (!x->dynamic) x->n_dynamic = 0;
    }
}

static void read_flags(const struct elf *x, struct audit *a) {
    bool there = false;
    uint64_t flags = dynamic_value(x, DT_FLAGS, NULL), flags_1 = dynamic_value(x, DT_FLAGS_1, NULL);
    dynamic_value(x, DT_BIND_NOW, &there);
    a->bind_now = there || (flags & DF_BIND_NOW) || (flags_1 & DF_1_NOW);
    there = false;
    dynamic_value(x, DT_TEXTREL, &there);
    a->textrel = there || (flags & DF_TEXTREL);
    a->static_tls = (flags & DF_STATIC_TLS) != 0;
    there = false;
    uint64_t at = dynamic_value(x, DT_RPATH, &there);
    if (there) a->rpath = string_at(x, at);
    there = false;
    at = dynamic_value(x, DT_RUNPATH, &there);
    if (there) a->runpath = string_at(x, at);
    for (size_t i = 0; i < x->n_dynamic && a->n_needed < ARRAY_LEN(a->needed); i++) {
        const char *name = x->dynamic[i].d_tag == DT_NEEDED ? string_at(x, x->dynamic[i].d_un.d_val) : NULL;
        if (name) a->needed[a->n_needed++] = name;
    }
}

/* ---- symbols ---- */

static bool word_at(const char *p, size_t room, uint64_t index, uint32_t *ret) {
    if (!p || index >= room / 4) return false;
    memcpy(ret, p + index * 4, 4);
    return true;
}

/* How many dynamic symbols: DT_HASH says so; in the other table it is the last link of the last chain. */
static size_t count_symbols(const struct elf *x) {
    size_t room = 0, gnu_room = 0;
    uint32_t n = 0, n_buckets, first, n_bloom, at, last = 0, chain;
    const char *hash = at_address(x, dynamic_value(x, DT_HASH, NULL), &room);
    if (dynamic_value(x, DT_HASH, NULL) && word_at(hash, room, 1, &n)) return n;
    const char *gnu = at_address(x, dynamic_value(x, DT_GNU_HASH, NULL), &gnu_room);
    if (!word_at(gnu, gnu_room, 0, &n_buckets) || !word_at(gnu, gnu_room, 1, &first) || !word_at(gnu, gnu_room, 2, &n_bloom))
        return 0;
    uint64_t buckets = 4 + (uint64_t)n_bloom * 2;
    for (uint32_t i = 0; i < n_buckets && word_at(gnu, gnu_room, buckets + i, &at); i++)
        if (at > last) last = at;
    if (last < first) return first;
    while (word_at(gnu, gnu_room, buckets + n_buckets + (last - first), &chain) && !(chain & 1)) last++;
    return (size_t)last + 1;
}

static void read_exports(const struct elf *x, struct audit *a) {
    size_t room = 0, n = count_symbols(x);
    const char *symbols = at_address(x, dynamic_value(x, DT_SYMTAB, NULL), &room);
    for (size_t i = 1; symbols && i < n && i < SYMBOLS_MAX && (i + 1) * sizeof(Elf64_Sym) <= room; i++) {
        Elf64_Sym s;
        memcpy(&s, symbols + i * sizeof s, sizeof s);
        const char *name = string_at(x, s.st_name);
        bool seen = s.st_shndx != SHN_UNDEF && ELF64_ST_BIND(s.st_info) != STB_LOCAL &&
                    (ELF64_ST_VISIBILITY(s.st_other) == STV_DEFAULT || ELF64_ST_VISIBILITY(s.st_other) == STV_PROTECTED);
        if (!seen || !name || !name[0] || s.st_shndx == SHN_ABS) continue;
        if (a->n_exports < ARRAY_LEN(a->exports)) a->exports[a->n_exports++] = name;
    }
}

/* ---- versions ---- */

static bool is_newer(const char *a, const char *b) {
    char *rest_a, *rest_b;
    unsigned long major_a = strtoul(a, &rest_a, 10), major_b = strtoul(b, &rest_b, 10);
    if (major_a != major_b) return major_a > major_b;
    return strtoul(rest_a + (*rest_a == '.'), NULL, 10) > strtoul(rest_b + (*rest_b == '.'), NULL, 10);
}

static void read_versions(const struct elf *x, struct audit *a) {
    size_t room = 0, n = dynamic_value(x, DT_VERNEEDNUM, NULL);
    const char *p = at_address(x, dynamic_value(x, DT_VERNEED, NULL), &room);
    size_t at = 0;
    for (size_t i = 0; p && i < n && at + sizeof(Elf64_Verneed) <= room; i++) {
        Elf64_Verneed need;
        memcpy(&need, p + at, sizeof need);
        size_t aux_at = at + need.vn_aux;
        for (unsigned k = 0; k < need.vn_cnt && aux_at + sizeof(Elf64_Vernaux) <= room; k++) {
            Elf64_Vernaux aux;
            memcpy(&aux, p + aux_at, sizeof aux);
            const char *name = string_at(x, aux.vna_name);
            if (name && strncmp(name, "GLIBC_2", 7) == 0 && is_newer(name + 6, a->glibc[0] ? a->glibc : "0.0"))
                snprintf(a->glibc, sizeof a->glibc, "%s", name + 6);
            if (!aux.vna_next) break;
            aux_at += aux.vna_next;
        }
        if (!need.vn_next) break;
        at += need.vn_next;
    }
}

tda_status audit_file(const char *file, struct audit *ret, struct error *e) {
    struct elf_facts facts;
    struct elf x = {0};
    Elf64_Dyn *dynamic = NULL;
    *ret = (struct audit){0};
    ret->bytes = (char *)(uintptr_t)read_whole(file, FILE_MAX, &ret->size);
    if (!ret->bytes) return error_set(e, TDA_E_NOT_FOUND, "unreadable", "%s: %s", file, strerror(errno));
    x.file = (tda_str){ret->bytes, ret->size};
    tda_status s = elf_audit(x.file, TDA_PLUGIN_ENTRY_SYMBOL, &facts, e);
    if (!s) s = note_parse(facts.note, &ret->note, e);
    if (s) return s;
    ret->abi.abi_major = facts.abi_major;
    ret->abi.abi_minor = facts.abi_minor;
    memcpy(&x.head, x.file.p, sizeof x.head);
    read_segments(&x, ret, &dynamic);
    x.strings = at_address(&x, dynamic_value(&x, DT_STRTAB, NULL), &x.strings_room);
    if (!x.strings) x.strings_room = 0;
    read_flags(&x, ret);
    read_exports(&x, ret);
    read_versions(&x, ret);
    free(dynamic);
    return TDA_OK;
}

void audit_fini(struct audit *a) {
    note_fini(&a->note);
    free(a->bytes);
    *a = (struct audit){0};
}

/* ---- judging ---- */

static bool is_common(const char *library) {
    static const char *const common[] = {"libc.so.6",       "libm.so.6",   "libgcc_s.so.1", "libstdc++.so.6",
                                         "libpthread.so.0", "libdl.so.2",  "librt.so.1",    "ld-linux",
                                         "libasan.so",      "libubsan.so", "libresolv.so.2"};
    for (size_t i = 0; i < ARRAY_LEN(common); i++)
        if (strncmp(library, common[i], strlen(common[i])) == 0) return true;
    return false;
}

static void judge_names(const struct audit *a, struct result *r) {
    for (size_t i = 0; i < a->n_exports; i++)
        if (strcmp(a->exports[i], TDA_PLUGIN_ENTRY_SYMBOL) != 0 && !a->note.exports)
            found(r, FAILURE,
                  "it exports \"%.120s\" besides its entry, which another plugin could meet: build with -fvisibility=hidden and a "
                  "version script (tda_add_plugin does), or say `exports` in the note",
                  a->exports[i]);
    for (size_t i = 0; i < a->n_needed; i++)
        if (!is_common(a->needed[i]))
            found(r, NOTE, "it needs the library %.120s: it must be installed where the daemon runs", a->needed[i]);
    if (a->glibc[0] && is_newer(a->glibc, gnu_get_libc_version()))
        found(r, FAILURE, "it needs glibc %s, and this machine has %s: build it on the oldest system that it is meant for",
              a->glibc, gnu_get_libc_version());
}

void audit_judge(const struct audit *a, struct result *r) {
    if (a->abi.abi_major != TDA_ABI_MAJOR || a->abi.abi_minor != TDA_ABI_MINOR)
        found(
            r, FAILURE,
            "it is built for interface %u.%u, and this host has %u.%u: build it with the headers of this version; during 0.x both "
            "numbers must be equal",
            a->abi.abi_major, a->abi.abi_minor, TDA_ABI_MAJOR, TDA_ABI_MINOR);
    judge_names(a, r);
    if (a->rpath || a->runpath)
        found(r, FAILURE,
              "it looks for libraries in \"%.120s\" (%s): build without -rpath, so that nobody else's library is found first",
              a->rpath ? a->rpath : a->runpath, a->rpath ? "RPATH" : "RUNPATH");
    if (a->textrel) found(r, FAILURE, "its code is changed while it is loaded (TEXTREL): build every part of it with -fPIC");
    if (a->exec_stack) found(r, FAILURE, "it makes the daemon's stacks executable (PT_GNU_STACK): link with -z noexecstack");
    if (a->write_exec) found(r, FAILURE, "a segment of it is both writable and executable: link with -z separate-code, without -N");
    if (a->static_tls && !a->note.static_tls)
        found(r, FAILURE,
              "it uses static TLS, of which a process has little: build without -ftls-model=initial-exec, or say `static-tls` in "
              "the note");
    if (!a->bind_now || !a->relro)
        found(r, WARNING, "its tables of addresses stay writable (no %s): link with -z now -z relro (tda_add_plugin does)",
              a->relro ? "BIND_NOW" : "RELRO");
    if (a->note.threads || a->note.static_tls)
        found(r, NOTE, "its note says %s: a runtime of its own; at most one such plugin in a daemon",
              a->note.threads ? "threads" : "static-tls");
}
