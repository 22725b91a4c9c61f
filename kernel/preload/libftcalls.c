// SPDX-License-Identifier: GPL-2.0
/*
 * libftcalls: preloaded into a program, it routes the program's fork(), kill()
 * and wait() to ft_fork(2), ft_kill(2) and ft_wait(2). What these cannot
 * express goes on to the C library, and so does everything on a kernel without
 * them.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_FT_FORK	549
#define NR_FT_KILL	550
#define NR_FT_WAIT	551

/* What is counted; the names are those of the summary. */
enum count {
	FT_FORK, FT_KILL, FT_WAIT,
	FT_FORK_FAILED, FT_KILL_FAILED, FT_WAIT_FAILED,
	FORK_ENOSYS, FORK_FILTER, FORK_CODE,
	KILL_ENOSYS, KILL_FILTER,
	WAIT_ENOSYS, WAIT_FILTER, WAIT_PID, WAIT_GROUP, WAIT_NOHANG, WAIT_OPTIONS,
	WAIT_RUSAGE,
	NR_COUNTS
};

static const char *const count_names[NR_COUNTS] = {
	[FT_FORK]	 = "ft_fork",
	[FT_KILL]	 = "ft_kill",
	[FT_WAIT]	 = "ft_wait",
	[FT_FORK_FAILED] = "ft_fork_failed",
	[FT_KILL_FAILED] = "ft_kill_failed",
	[FT_WAIT_FAILED] = "ft_wait_failed",
	[FORK_ENOSYS]	 = "native_fork_enosys",
	[FORK_FILTER]	 = "native_fork_filter",
	[FORK_CODE]	 = "native_fork_code",
	[KILL_ENOSYS]	 = "native_kill_enosys",
	[KILL_FILTER]	 = "native_kill_filter",
	[WAIT_ENOSYS]	 = "native_wait_enosys",
	[WAIT_FILTER]	 = "native_wait_filter",
	[WAIT_PID]	 = "native_wait_pid",
	[WAIT_GROUP]	 = "native_wait_group",
	[WAIT_NOHANG]	 = "native_wait_nohang",
	[WAIT_OPTIONS]	 = "native_wait_options",
	[WAIT_RUSAGE]	 = "native_wait_rusage",
};

/* The next definitions of what is interposed: the C library's. */
static struct {
	typeof(fork) *fork;
	typeof(kill) *kill;
	typeof(wait4) *wait4;
	typeof(execve) *execve;
	typeof(execvpe) *execvpe;
	typeof(fexecve) *fexecve;
} next;

static unsigned long *counts;
static char summary_to[PATH_MAX];

/* The kernel answered ENOSYS: it has none of the calls. */
static bool absent;

/* The C library forks by ft_fork(). */
static bool forks_by_ft;

static void change_fork(void);

/*
 * Every function calls it, too: a constructor of another library that calls
 * one may come before ours.
 */
static void __attribute__((constructor)) init(void)
{
	static unsigned long fallback[NR_COUNTS];
	const char *to;

	if (counts)
		return;

	next.fork = dlsym(RTLD_NEXT, "fork");
	next.kill = dlsym(RTLD_NEXT, "kill");
	next.wait4 = dlsym(RTLD_NEXT, "wait4");
	next.execve = dlsym(RTLD_NEXT, "execve");
	next.execvpe = dlsym(RTLD_NEXT, "execvpe");
	next.fexecve = dlsym(RTLD_NEXT, "fexecve");

	/* A copy: a program may write over its environment. */
	to = secure_getenv("FTCALLS_SUMMARY");
	if (to)
		snprintf(summary_to, sizeof(summary_to), "%s", to);

	/* Starts at 0 in every child, whatever it was forked by. */
	counts = mmap(NULL, sizeof(fallback), PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		counts = fallback;
	else
		madvise(counts, sizeof(fallback), MADV_WIPEONFORK);
	change_fork();
}

static void count(enum count what, long more)
{
	__atomic_fetch_add(&counts[what], more, __ATOMIC_RELAXED);
}

/* As the kernel does it: neither errno nor any other register is touched. */
static inline long bare_syscall(long nr, long a, long b, long c, long d)
{
#ifdef __x86_64__
	register long r10 asm("r10") = d;
	long result;

	asm volatile("syscall"
		     : "=a" (result)
		     : "0" (nr), "D" (a), "S" (b), "d" (c), "r" (r10)
		     : "rcx", "r11", "memory", "cc");
	return result;
#else
	long result = syscall(nr, a, b, c, d);

	return result < 0 ? -errno : result;
#endif
}

/*
 * Whether the caller is under a filter of system calls, which may come at any
 * time. Filters know the native calls, and what they do with others is not
 * only ENOSYS: some answer EPERM, some kill.
 */
static bool is_filtered(void)
{
	long mode = bare_syscall(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0);

	return mode && mode != -EINVAL;	/* a kernel without filters */
}

/* Whether the call that just failed is not there; if so, none of them is. */
static bool is_absent(void)
{
	if (errno == ENOSYS)
		absent = true;
	return absent;
}

/*
 * One line, if anybody asked and there is anything to tell. For when the
 * program ends or makes way for another one.
 */
static void __attribute__((destructor)) summary(void)
{
	int saved_errno = errno, fd = STDERR_FILENO, size, i;
	char line[1024], name[16] = "";
	bool any = false;

	if (!counts || !summary_to[0])
		return;

	prctl(PR_GET_NAME, name);
	for (i = 0; name[i]; i++)
		if (!isgraph((unsigned char)name[i]))
			name[i] = '_';
	size = snprintf(line, sizeof(line), "libftcalls: pid=%d program=%s",
			getpid(), name);
	for (i = 0; i < NR_COUNTS; i++) {
		unsigned long n = __atomic_exchange_n(&counts[i], 0,
						      __ATOMIC_RELAXED);

		any |= n;
		if (n || i <= FT_WAIT)
			size += snprintf(line + size, sizeof(line) - size,
					 " %s=%lu", count_names[i], n);
	}
	line[size++] = '\n';
	if (!any)
		return;

	if (strcmp(summary_to, "stderr"))
		fd = open(summary_to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
			  0644);
	/* One write, so that the lines of several processes do not mix. */
	(void)!write(fd, line, size);
	if (fd != STDERR_FILENO)
		close(fd);
	errno = saved_errno;
}

/*
 * glibc's fork() is much more than a system call: it runs the handlers of
 * pthread_atfork(), takes the locks of malloc, stdio and the dynamic linker and
 * makes them anew in the child, keeps the thread's id and list of robust
 * mutexes. None of that can be done from outside, so all of it stays as it is,
 * and only its one system call becomes ft_fork(). That stands in _Fork() as
 *
 *	mov	$SYS_clone, %eax
 *	syscall
 *
 * of which the first takes five bytes, as a jump does.
 */
#ifdef __x86_64__
static const unsigned char clone_call[] = { 0xb8, 56, 0, 0, 0, 0x0f, 0x05 };
#define MOV_SIZE	5
/* More than _Fork() has; it is not the last function that there is. */
#define FORK_SIZE	256
#define FORK_FLAGS	(CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD)

/* In place of clone: where its registers are saved, and where to go on. */
void ft_fork_entry(void);
static const unsigned char *clone_syscall __attribute__((used));
static const unsigned char *clone_done __attribute__((used));

/*
 * As for any system call, nothing but rax, rcx and r11 may change, nor what is
 * in the 128 bytes below the stack.
 */
asm(
	".pushsection .text\n"
	".type	ft_fork_entry, @function\n"
	"ft_fork_entry:\n"
	"	lea	-128(%rsp), %rsp\n"
	"	push	%rdi\n"
	"	push	%rsi\n"
	"	push	%rdx\n"
	"	push	%r8\n"
	"	push	%r9\n"
	"	push	%r10\n"
	"	mov	%r10, %rdx\n"
	"	call	in_place_of_clone\n"
	"	pop	%r10\n"
	"	pop	%r9\n"
	"	pop	%r8\n"
	"	pop	%rdx\n"
	"	pop	%rsi\n"
	"	pop	%rdi\n"
	"	lea	128(%rsp), %rsp\n"
	"	cmp	$-38, %rax\n"	/* ENOSYS */
	"	je	1f\n"
	"	jmp	*clone_done(%rip)\n"
	"1:	mov	$56, %eax\n"
	"	jmp	*clone_syscall(%rip)\n"
	".size	ft_fork_entry, . - ft_fork_entry\n"
	".popsection\n"
);

static inline void set_mask(const unsigned long *mask, unsigned long *old)
{
	bare_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)mask, (long)old,
		     sizeof(*mask));
}

/*
 * What clone does with these flags for a child: its thread's id is stored in
 * @tid, and there the kernel clears it at its end. Returns what clone would.
 */
static long __attribute__((used, target("general-regs-only")))
in_place_of_clone(long flags, long stack, pid_t *tid)
{
	const unsigned long all = ~0ul;
	enum count how = FT_FORK;
	unsigned long old;
	long pid;

	if (absent)
		how = FORK_ENOSYS;
	else if (is_filtered())
		how = FORK_FILTER;
	else if (flags != FORK_FLAGS || stack)
		how = FORK_CODE;
	if (how != FT_FORK) {
		count(how, 1);
		return -ENOSYS;
	}

	/* No handler of the child may see the id of its parent. */
	set_mask(&all, &old);
	pid = bare_syscall(NR_FT_FORK, 0, 0, 0, 0);
	if (!pid)
		*tid = bare_syscall(SYS_set_tid_address, (long)tid, 0, 0, 0);
	set_mask(&old, NULL);

	if (pid > 0)
		count(FT_FORK, 1);
	if (pid == -ENOSYS) {
		absent = true;
		count(FORK_ENOSYS, 1);
	} else if (pid < 0) {
		count(FT_FORK_FAILED, 1);
	}
	return pid;
}

/* Where the C library's _Fork() calls clone; NULL if it is not as we know it. */
static unsigned char *find_clone(void)
{
	unsigned char *code = dlsym(RTLD_NEXT, "_Fork"), *clone;

	if (!code)
		return NULL;
	clone = memmem(code, FORK_SIZE, clone_call, sizeof(clone_call));
	if (clone && memmem(clone + 1, FORK_SIZE, clone_call, sizeof(clone_call)))
		return NULL;
	return clone;
}

static void change_fork(void)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	unsigned char *clone = find_clone();
	size_t size;
	char *start;
	long by;

	if (!clone)
		return;
	clone_syscall = clone + MOV_SIZE;
	clone_done = clone + sizeof(clone_call);
	by = (char *)ft_fork_entry - (char *)clone_syscall;
	if (by != (int)by)
		return;

	/* Refused where memory may not be written and executed both. */
	start = (char *)((uintptr_t)clone & -page);
	size = (char *)clone_syscall - start;
	if (mprotect(start, size, PROT_READ | PROT_WRITE | PROT_EXEC))
		return;
	clone[0] = 0xe9;	/* jmp */
	memcpy(clone + 1, &(int){ by }, sizeof(int));
	mprotect(start, size, PROT_READ | PROT_EXEC);
	forks_by_ft = true;
}
#else
/* fork() is the C library's. */
static void change_fork(void)
{
}
#endif

pid_t fork(void)
{
	init();
	if (!forks_by_ft)
		count(FORK_CODE, 1);
	return next.fork();
}

/* POSIX lets vfork() be fork(), which is the one that may return twice here. */
pid_t vfork(void)
{
	return fork();
}

int kill(pid_t pid, int sig)
{
	enum count how = KILL_ENOSYS;

	init();
	if (!absent && is_filtered()) {
		how = KILL_FILTER;
	} else if (!absent) {
		/* Before the call: a handler of ours may never return. */
		count(FT_KILL, 1);
		if (!syscall(NR_FT_KILL, pid, sig))
			return 0;
		count(FT_KILL, -1);
		if (!is_absent()) {
			count(FT_KILL_FAILED, 1);
			return -1;
		}
	}
	count(how, 1);
	return next.kill(pid, sig);
}

int killpg(pid_t pgrp, int sig)
{
	if (pgrp < 0) {
		errno = EINVAL;
		return -1;
	}
	return kill(-pgrp, sig);
}

/* Can be cancelled while it waits, as wait() can. */
static pid_t ft_wait(int *status)
{
	pid_t pid;
	int type;

	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &type);
	pid = syscall(NR_FT_WAIT, status);
	pthread_setcanceltype(type, NULL);
	return pid;
}

/* Returns FT_WAIT, or what of it only the native call can do. */
static enum count how_to_wait(pid_t pid, int options, struct rusage *usage)
{
	if (absent)
		return WAIT_ENOSYS;
	if (pid > 0)
		return WAIT_PID;
	if (pid != -1)
		return WAIT_GROUP;
	if (options & WNOHANG)
		return WAIT_NOHANG;
	if (options)
		return WAIT_OPTIONS;
	if (usage)
		return WAIT_RUSAGE;
	if (is_filtered())
		return WAIT_FILTER;
	return FT_WAIT;
}

pid_t wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	enum count how;
	pid_t child;

	init();
	how = how_to_wait(pid, options, usage);
	if (how == FT_WAIT) {
		child = ft_wait(status);
		if (child > 0) {
			count(FT_WAIT, 1);
			return child;
		}
		if (!is_absent()) {
			count(FT_WAIT_FAILED, 1);
			return -1;
		}
		how = WAIT_ENOSYS;
	}
	count(how, 1);
	return next.wait4(pid, status, options, usage);
}

pid_t wait3(int *status, int options, struct rusage *usage)
{
	return wait4(-1, status, options, usage);
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	return wait4(pid, status, options, NULL);
}

pid_t wait(int *status)
{
	return wait4(-1, status, 0, NULL);
}

/* The rest is there only to tell the counts before they are lost. */
void _exit(int status)
{
	init();
	summary();
	for (;;)
		syscall(SYS_exit_group, status);
}

void _Exit(int status)
{
	_exit(status);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
	init();
	summary();
	return next.execve(path, argv, envp);
}

int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

int execvpe(const char *file, char *const argv[], char *const envp[])
{
	init();
	summary();
	return next.execvpe(file, argv, envp);
}

int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

int fexecve(int fd, char *const argv[], char *const envp[])
{
	init();
	summary();
	return next.fexecve(fd, argv, envp);
}
