// stdlib/socket.h: socket, select and ssl, made aware of actors.
//
// What:    replaces C functions of _socket, select and _ssl (PyMethodDef.ml_meth), once per process, when a module is
//          there or as soon as any interpreter imports it (_imp.exec_dynamic and exec_builtin are replaced for that).
//          In an actor, on a socket in blocking or timeout mode, they park; anywhere else, and on non-blocking sockets,
//          the original decides.
// Parks:   accept, connect, connect_ex, recv*, send*, getaddrinfo and its kin (on the blocking pool), select.select,
//          poll and epoll objects, read, write, handshake and shutdown of ssl sockets. Timeouts are those of the
//          socket.
// Close:   closing a socket ends the waits of actors for it: they get OSError (EBADF).
// Not:     recv with MSG_WAITALL. A socket in blocking mode is looked at, then read: when another process or thread
//          takes the data in between, the worker blocks. sendmsg and sendto of more than fits block for the rest.
// Errors:  install: false with a Python exception set when _imp is not what we know. A function of the three modules
//          that is not what we know stays as it is.
#pragma once

namespace smarm {

// The main interpreter must be attached.
bool install_stdlib_sockets();

}  // namespace smarm
