/* Between the host and its launcher.
 *
 * Descriptor 3 of the launcher is a SOCK_SEQPACKET socket. Each message on it is one SPAWN: struct spawn_head, then NUL-terminated
 * strings (cwd, arguments, environment), with four descriptors: stdin, stdout, stderr and the child's control socket, itself
 * SOCK_SEQPACKET. On the control socket the host sends struct control_signal; the launcher sends one struct control_news with
 * EXITED, before that perhaps one with EXEC_FAILED. A closed control socket means "kill it". Same machine, same build: native
 * structs. */
#ifndef LAUNCHER_PROTOCOL_H
#define LAUNCHER_PROTOCOL_H

#include <stdint.h>

enum { LAUNCHER_FD = 3, SPAWN_FDS = 4, SPAWN_MAX = 96 << 10, SPAWN_MAGIC = 0x54444131 };

struct spawn_head {
    uint32_t magic;
    uint32_t n_args, n_env;
    uint32_t reserved;
    uint64_t id; /* goes into the child's environment as TDA_CHILD, to know its descendants by */
};

enum control_kind { CONTROL_EXEC_FAILED = 1, CONTROL_EXITED = 2 };

struct control_news {
    uint32_t kind;
    int32_t value; /* errno, or the exit code, or 128 + signal */
};

struct control_signal {
    int32_t signal;
};

#endif
