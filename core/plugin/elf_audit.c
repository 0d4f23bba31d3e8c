#include "plugin/elf_audit.h"

#include <elf.h>

#include "tda/plugin.h"

#if defined(__x86_64__)
#define OUR_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define OUR_MACHINE EM_AARCH64
#elif defined(__riscv)
#define OUR_MACHINE EM_RISCV
#else
#define OUR_MACHINE EM_NONE /* say this machine's number here: until then nothing loads */
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define OUR_ORDER ELFDATA2LSB
#else
#define OUR_ORDER ELFDATA2MSB
#endif

enum { HEADERS_MAX = 256, DYNAMIC_MAX = 1024, SYMBOLS_MAX = 1 << 20 };

struct elf {
    tda_str file;
    Elf64_Ehdr head;
    const char *symbols, *strings, *gnu_hash, *hash; /* file bytes, or NULL */
    size_t symbols_room, strings_n, gnu_room, hash_room;
};

static tda_status refuse(struct error *e, const char *text) {
    return error_set(e, TDA_E_INVALID, "bad_elf", "%s", text);
}

/* n bytes at `at`, or NULL. */
static const char *bytes_at(const struct elf *x, uint64_t at, uint64_t n) {
    return at <= x->file.n && n <= x->file.n - at ? x->file.p + at : NULL;
}

static tda_status read_head(struct elf *x, struct error *e) {
    const char *p = bytes_at(x, 0, sizeof x->head);
    if (!p || memcmp(p, ELFMAG, SELFMAG) != 0) return refuse(e, "it is no ELF file; build it with -shared");
    memcpy(&x->head, p, sizeof x->head);
    if (x->head.e_ident[EI_CLASS] != ELFCLASS64 || x->head.e_ident[EI_DATA] != OUR_ORDER || x->head.e_machine != OUR_MACHINE)
        return refuse(e, "it is built for another kind of machine");
    if (x->head.e_type != ET_DYN) return refuse(e, "it is no shared object; build it with -shared");
    if (x->head.e_phentsize != sizeof(Elf64_Phdr) || x->head.e_phnum == 0 || x->head.e_phnum > HEADERS_MAX)
        return refuse(e, "its program headers are malformed");
    if (!bytes_at(x, x->head.e_phoff, (uint64_t)x->head.e_phnum * sizeof(Elf64_Phdr))) return refuse(e, "it is truncated");
    return TDA_OK;
}

static Elf64_Phdr program_header(const struct elf *x, size_t i) {
    Elf64_Phdr ph;
    memcpy(&ph, x->file.p + x->head.e_phoff + i * sizeof ph, sizeof ph);
    return ph;
}

static tda_status check_segments(const struct elf *x, struct error *e) {
    for (size_t i = 0; i < x->head.e_phnum; i++) {
        Elf64_Phdr ph = program_header(x, i);
        if (ph.p_type == PT_LOAD && (!bytes_at(x, ph.p_offset, ph.p_filesz) || ph.p_memsz < ph.p_filesz))
            return refuse(e, "it is truncated: a segment lies beyond the end of the file");
        if (ph.p_type == PT_INTERP) return refuse(e, "it is a program, not a plugin");
    }
    return TDA_OK;
}

/* File bytes of a virtual address, to the end of its segment. */
static const char *at_address(const struct elf *x, uint64_t address, size_t *ret_room) {
    for (size_t i = 0; i < x->head.e_phnum; i++) {
        Elf64_Phdr ph = program_header(x, i);
        if (ph.p_type != PT_LOAD || address < ph.p_vaddr || address - ph.p_vaddr >= ph.p_filesz) continue;
        *ret_room = (size_t)(ph.p_filesz - (address - ph.p_vaddr));
        return bytes_at(x, ph.p_offset + (address - ph.p_vaddr), *ret_room);
    }
    return NULL;
}

/* ---- the note ---- */

static uint64_t align4(uint64_t n) {
    return (n + 3) & ~(uint64_t)3;
}

static bool note_in(tda_str segment, struct elf_facts *ret) {
    Elf64_Nhdr head;
    for (uint64_t at = 0; at + sizeof head <= segment.n;) {
        memcpy(&head, segment.p + at, sizeof head);
        uint64_t name = at + sizeof head, desc = name + align4(head.n_namesz), end = desc + align4(head.n_descsz);
        if (end > segment.n && desc + head.n_descsz > segment.n) return false;
        if (head.n_type == TDA_NOTE_TYPE && head.n_namesz == 4 && memcmp(segment.p + name, "TDA", 4) == 0 && head.n_descsz >= 8) {
            memcpy(&ret->abi_major, segment.p + desc, 4);
            memcpy(&ret->abi_minor, segment.p + desc + 4, 4);
            ret->note = (tda_str){segment.p + desc + 8, head.n_descsz - 8};
            return true;
        }
        at = end;
    }
    return false;
}

static tda_status find_note(const struct elf *x, struct elf_facts *ret, struct error *e) {
    for (size_t i = 0; i < x->head.e_phnum; i++) {
        Elf64_Phdr ph = program_header(x, i);
        const char *p = ph.p_type == PT_NOTE ? bytes_at(x, ph.p_offset, ph.p_filesz) : NULL;
        if (p && note_in((tda_str){p, (size_t)ph.p_filesz}, ret)) return TDA_OK;
    }
    return refuse(e, "it has no note .note.tda, so it is no plugin of this host; see TDA_PLUGIN_NOTE in tda/plugin.h");
}

/* ---- the entry symbol ---- */

static void read_dynamic(struct elf *x) {
    for (size_t i = 0; i < x->head.e_phnum; i++) {
        Elf64_Phdr ph = program_header(x, i);
        if (ph.p_type != PT_DYNAMIC || !bytes_at(x, ph.p_offset, ph.p_filesz)) continue;
        size_t n = ph.p_filesz / sizeof(Elf64_Dyn), strings_room;
        for (size_t k = 0; k < n && k < DYNAMIC_MAX; k++) {
            Elf64_Dyn d;
            memcpy(&d, x->file.p + ph.p_offset + k * sizeof d, sizeof d);
            if (d.d_tag == DT_SYMTAB) x->symbols = at_address(x, d.d_un.d_ptr, &x->symbols_room);
            if (d.d_tag == DT_STRTAB && (x->strings = at_address(x, d.d_un.d_ptr, &strings_room))) x->strings_n = strings_room;
            if (d.d_tag == DT_GNU_HASH) x->gnu_hash = at_address(x, d.d_un.d_ptr, &x->gnu_room);
            if (d.d_tag == DT_HASH) x->hash = at_address(x, d.d_un.d_ptr, &x->hash_room);
        }
    }
}

static bool symbol_is(const struct elf *x, size_t index, const char *name) {
    Elf64_Sym sym;
    if (index >= x->symbols_room / sizeof sym) return false;
    size_t n = strlen(name) + 1;
    memcpy(&sym, x->symbols + index * sizeof sym, sizeof sym);
    if (sym.st_name >= x->strings_n || x->strings_n - sym.st_name < n) return false;
    bool defined = sym.st_shndx != SHN_UNDEF && ELF64_ST_TYPE(sym.st_info) == STT_FUNC && ELF64_ST_BIND(sym.st_info) != STB_LOCAL;
    return defined && memcmp(x->strings + sym.st_name, name, n) == 0;
}

static bool word_at(const char *p, size_t room, uint64_t index, uint32_t *ret) {
    if (!p || index >= room / 4) return false;
    memcpy(ret, p + index * 4, 4);
    return true;
}

static uint32_t gnu_hash(const char *name) {
    uint32_t h = 5381;
    for (; *name; name++) h = h * 33 + (unsigned char)*name;
    return h;
}

/* The table as ld.so reads it: header, Bloom words of 8 bytes, buckets, chains. */
static bool in_gnu_hash(const struct elf *x, const char *name) {
    uint32_t n_buckets, first, n_bloom, symbol, h = gnu_hash(name), chain;
    if (!word_at(x->gnu_hash, x->gnu_room, 0, &n_buckets) || !word_at(x->gnu_hash, x->gnu_room, 1, &first) ||
        !word_at(x->gnu_hash, x->gnu_room, 2, &n_bloom) || n_buckets == 0)
        return false;
    uint64_t buckets = 4 + (uint64_t)n_bloom * 2, chains = buckets + n_buckets;
    if (!word_at(x->gnu_hash, x->gnu_room, buckets + h % n_buckets, &symbol) || symbol < first) return false;
    for (size_t i = 0; i < SYMBOLS_MAX; i++, symbol++) {
        if (!word_at(x->gnu_hash, x->gnu_room, chains + (symbol - first), &chain)) return false;
        if ((chain | 1) == (h | 1) && symbol_is(x, symbol, name)) return true;
        if (chain & 1) return false;
    }
    return false;
}

static bool in_table(const struct elf *x, const char *name) {
    uint32_t n = 0;
    if (!word_at(x->hash, x->hash_room, 1, &n)) return false;
    if (n > x->symbols_room / sizeof(Elf64_Sym)) n = (uint32_t)(x->symbols_room / sizeof(Elf64_Sym)); /* no more are there */
    for (uint32_t i = 0; i < n && i < SYMBOLS_MAX; i++)
        if (symbol_is(x, i, name)) return true;
    return false;
}

tda_status elf_audit(tda_str file, const char *entry, struct elf_facts *ret, struct error *e) {
    struct elf x = {.file = file};
    tda_status s = read_head(&x, e);
    if (!s) s = check_segments(&x, e);
    if (!s) s = find_note(&x, ret, e);
    if (s) return s;
    read_dynamic(&x);
    if (x.symbols && x.strings && (in_gnu_hash(&x, entry) || in_table(&x, entry))) return TDA_OK;
    return error_set(e, TDA_E_INVALID, "bad_elf",
                     "it does not export %s; is it built with the headers of this version, and its entry not hidden?", entry);
}
