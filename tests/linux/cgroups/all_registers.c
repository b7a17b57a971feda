/*
 * Let User Mode Linux 6.1 run on processors whose registers it has no room for, such as those with AMX.
 *
 * It saves and restores the registers of its processes with PTRACE_GETREGSET and PTRACE_SETREGSET, in
 * a buffer that ends before the newest ones. Reading is cut short then, but writing less than all of
 * them is refused by the host. Loaded with LD_PRELOAD, this writes the missing ones as they are.
 *
 * Source: ptrace(2); xstateregs_set() of the kernel's arch/x86/kernel/fpu/regset.c.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <string.h>
#include <linux/ptrace.h> /* and not sys/ptrace.h, which declares the function otherwise */
#include <sys/types.h>
#include <sys/uio.h>

#define ROOM 65536 /* bytes; AMX needs 11,008 */

typedef long ptrace_function(int request, pid_t pid, void *address, void *data);

static long write_all_registers(ptrace_function *next, pid_t pid, const struct iovec *given)
{
	static _Thread_local char registers[ROOM];
	struct iovec all = { registers, sizeof registers };
	void *kind = (void *)NT_X86_XSTATE;

	if (next(PTRACE_GETREGSET, pid, kind, &all) < 0)
		return -1;
	memcpy(registers, given->iov_base, given->iov_len < all.iov_len ? given->iov_len : all.iov_len);
	return next(PTRACE_SETREGSET, pid, kind, &all);
}

long ptrace(int request, pid_t pid, void *address, void *data)
{
	ptrace_function *next = (ptrace_function *)dlsym(RTLD_NEXT, "ptrace");

	if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE)
		return write_all_registers(next, pid, data);
	return next(request, pid, address, data);
}
