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
#include <link.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>
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
	FORK_ENOSYS, FORK_THREADS, FORK_ATFORK, FORK_DLOPEN, FORK_TCB,
	KILL_ENOSYS,
	WAIT_ENOSYS, WAIT_PID, WAIT_GROUP, WAIT_NOHANG, WAIT_OPTIONS,
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
	[FORK_THREADS]	 = "native_fork_threads",
	[FORK_ATFORK]	 = "native_fork_atfork",
	[FORK_DLOPEN]	 = "native_fork_dlopen",
	[FORK_TCB]	 = "native_fork_tcb",
	[KILL_ENOSYS]	 = "native_kill_enosys",
	[WAIT_ENOSYS]	 = "native_wait_enosys",
	[WAIT_PID]	 = "native_wait_pid",
	[WAIT_GROUP]	 = "native_wait_group",
	[WAIT_NOHANG]	 = "native_wait_nohang",
	[WAIT_OPTIONS]	 = "native_wait_options",
	[WAIT_RUSAGE]	 = "native_wait_rusage",
};

/* What pthread_atfork() calls; no header has it. */
int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *object);

/* The next definitions of what is interposed: the C library's. */
static struct {
	typeof(fork) *fork;
	typeof(kill) *kill;
	typeof(wait4) *wait4;
	typeof(execve) *execve;
	typeof(execvpe) *execvpe;
	typeof(fexecve) *fexecve;
	typeof(__register_atfork) *register_atfork;
} next;

static unsigned long *counts;
static char summary_to[PATH_MAX];

/* The kernel answered ENOSYS: it has none of the calls. */
static bool absent;

/* Somebody registered a handler by pthread_atfork(). */
static bool has_atfork;

/* The dynamic linker's state, which has its locks in it. */
static const char *linker;
static size_t linker_size;

/*
 * Every function calls it, too: a constructor of another library that calls
 * one may come before ours.
 */
static void __attribute__((constructor)) init(void)
{
	static unsigned long fallback[NR_COUNTS];
	const Elf64_Sym *symbol;
	const char *to;
	Dl_info info;

	if (counts)
		return;

	next.fork = dlsym(RTLD_NEXT, "fork");
	next.kill = dlsym(RTLD_NEXT, "kill");
	next.wait4 = dlsym(RTLD_NEXT, "wait4");
	next.execve = dlsym(RTLD_NEXT, "execve");
	next.execvpe = dlsym(RTLD_NEXT, "execvpe");
	next.fexecve = dlsym(RTLD_NEXT, "fexecve");
	next.register_atfork = dlsym(RTLD_NEXT, "__register_atfork");

	linker = dlsym(RTLD_DEFAULT, "_rtld_global");
	if (linker && dladdr1(linker, &info, (void **)&symbol, RTLD_DL_SYMENT))
		linker_size = symbol->st_size;

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
}

static void count(enum count what, long more)
{
	__atomic_fetch_add(&counts[what], more, __ATOMIC_RELAXED);
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
 * The end of glibc's thread control block that a fork has to mind: the kernel
 * is told of the list of robust mutexes, and the thread's id stands before it.
 */
struct tcb {
	pid_t tid;
	void *robust_prev;
	struct robust_list_head robust;
};

/* Below what the control block takes in any version of glibc. */
#define TCB_SIZE	2048

/* The caller's own, or NULL where it does not look as we know it. */
static struct tcb *find_tcb(void)
{
	uintptr_t offset;
	struct tcb *tcb;
	size_t size;
	void *head;

	if (syscall(SYS_get_robust_list, 0, &head, &size) || !head)
		return NULL;
	tcb = (struct tcb *)((char *)head - offsetof(struct tcb, robust));
	offset = (uintptr_t)tcb - (uintptr_t)pthread_self();
	if (offset > TCB_SIZE || tcb->tid != gettid())
		return NULL;
	return tcb;
}

/* Whether the caller holds a lock of the dynamic linker. */
static bool is_in_dlopen(pid_t tid)
{
	const pthread_mutex_t *lock;
	size_t offset;

	for (offset = 0; offset + sizeof(*lock) <= linker_size;
	     offset += sizeof(void *)) {
		lock = (const pthread_mutex_t *)(linker + offset);
		if (lock->__data.__lock && lock->__data.__owner == tid &&
		    lock->__data.__kind == PTHREAD_MUTEX_RECURSIVE)
			return true;
	}
	return false;
}

/*
 * What glibc's _Fork() does, with ft_fork() for clone(): the child's thread has
 * another id, which the kernel clears at its end, and holds no robust mutex.
 */
static pid_t ft_fork(struct tcb *tcb)
{
	sigset_t all, old;
	pid_t pid;

	/* No handler of the child may see the id of its parent. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = syscall(NR_FT_FORK);
	if (!pid) {
		tcb->tid = syscall(SYS_set_tid_address, &tcb->tid);
		tcb->robust_prev = &tcb->robust;
		tcb->robust.list.next = &tcb->robust.list;
		syscall(SYS_set_robust_list, &tcb->robust, sizeof(tcb->robust));
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/*
 * glibc's fork() is more than _Fork(): around it go the handlers of
 * pthread_atfork(); where the process ever had a second thread, the locks of
 * malloc, stdio and others are taken before and made anew in the child; and the
 * dynamic linker's are freed. None of that can be done from outside of glibc,
 * so where there is any of it to do, glibc does it. All that is left out then
 * is that pthread_once() does not learn of the fork, which matters to who forks
 * in an initialiser and runs the same once again in the child.
 *
 * Returns FT_FORK and the caller's control block, or why glibc has to do it.
 */
static enum count how_to_fork(struct tcb **tcb)
{
	if (absent)
		return FORK_ENOSYS;
	if (!__libc_single_threaded)
		return FORK_THREADS;
	if (has_atfork)
		return FORK_ATFORK;
	*tcb = find_tcb();
	if (!*tcb)
		return FORK_TCB;
	if (is_in_dlopen((*tcb)->tid))
		return FORK_DLOPEN;
	return FT_FORK;
}

pid_t fork(void)
{
	enum count how;
	struct tcb *tcb;
	pid_t pid;

	init();
	how = how_to_fork(&tcb);
	if (how == FT_FORK) {
		pid = ft_fork(tcb);
		if (pid > 0)
			count(FT_FORK, 1);
		if (pid >= 0)
			return pid;
		if (!is_absent()) {
			count(FT_FORK_FAILED, 1);
			return -1;
		}
		how = FORK_ENOSYS;
	}
	count(how, 1);
	return next.fork();
}

/* POSIX lets vfork() be fork(), which is the one that may return twice here. */
pid_t vfork(void)
{
	return fork();
}

int __register_atfork(void (*prepare)(void), void (*parent)(void),
		      void (*child)(void), void *object)
{
	init();
	has_atfork = true;
	return next.register_atfork(prepare, parent, child, object);
}

int kill(pid_t pid, int sig)
{
	init();
	if (!absent) {
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
	count(KILL_ENOSYS, 1);
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
