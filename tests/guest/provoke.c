// SPDX-License-Identifier: GPL-2.0
/*
 * provoke: each of the 64 signals by each call and from a timer, to targets that block,
 * handle or ignore it or whose queue is full; and what only the kernel raises: faults,
 * the terminal's, a child's, of I/O and of limits. Prints how often each signal was
 * generated, from where and with which result, as the calls and the targets say.
 *
 * The main process blocks all signals and ignores SIGCHLD, and its children are told to
 * end without a signal, so that nothing is generated that is not printed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#include "calls.h"

#define SIGNALS	64
#define ROUNDS	3
#define BIT(sig)	(1UL << ((sig) - 1))
#define ALL	(~0UL)

enum origin {
	USER, KERNEL, TIMER, FAULT, CHILD, TERMINAL, IO, LIMIT, SECCOMP, OTHER, PARENT_DEATH,
	TRACER_EXIT, PID_NAMESPACE, ORIGINS,
};
static const char *const origins[] = {
	"user", "kernel", "timer", "fault", "child", "terminal", "io", "limit", "seccomp", "other",
	"parent_death", "tracer_exit", "pid_namespace",
};

enum result { DELIVERED, IGNORED, ALREADY_PENDING, OVERFLOW_FAIL, LOSE_INFO, RESULTS };
static const char *const results[] = {
	"delivered", "ignored", "already_pending", "overflow_fail", "lose_info",
};

static struct shared {
	long did[SIGNALS + 1][ORIGINS][RESULTS];
	int taken;	/* by the handler of a target */
} *shared;

static void note(int sig, enum origin origin, enum result result)
{
	__atomic_fetch_add(&shared->did[sig][origin][result], 1, __ATOMIC_RELAXED);
}

/* The kernel's own forms: the C library keeps two signals for itself. */
struct kernel_sigaction {
	void (*handler)(int sig);
	unsigned long flags;
	void (*restorer)(void);
	unsigned long mask;
};

static struct kernel_sigaction plain;	/* with the C library's restorer */

static void set_mask(unsigned long mask)
{
	CHECK(!syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask)));
}

static void set_action(int sig, void (*handler)(int))
{
	struct kernel_sigaction action = plain;

	action.handler = handler;
	if (sig != SIGKILL && sig != SIGSTOP)
		CHECK(!syscall(SYS_rt_sigaction, sig, &action, NULL, sizeof(action.mask)));
}

/* Take a blocked signal; its si_code. */
static int take(int sig)
{
	struct timespec limit = { .tv_sec = 60 };
	unsigned long set = BIT(sig);
	siginfo_t info;

	CHECK(syscall(SYS_rt_sigtimedwait, &set, &info, &limit, sizeof(set)) == sig);
	return info.si_code;
}

/* As fork(), but the child's end raises this signal, or none; or with flags of clone(2). */
static pid_t start(int exit_signal)
{
	pid_t pid;

	fflush(NULL);
	pid = syscall(SYS_clone, exit_signal, 0, 0, 0, 0);
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(!prctl(PR_SET_DUMPABLE, 0));	/* no core */
		CHECK(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	}
	return pid;
}

static int reap(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, __WALL | WUNTRACED) == pid);
	return status;
}

static void end(pid_t pid)
{
	CHECK(!kill(pid, SIGKILL));
	note(SIGKILL, USER, DELIVERED);
	CHECK(WTERMSIG(reap(pid)) == SIGKILL);
}

/* Run it in a child that has to return from it. */
static void in_child(void (*run)(void))
{
	pid_t pid = start(0);

	if (!pid) {
		run();
		exit(0);
	}
	CHECK(reap(pid) == 0);
}

/* Each call. */

enum state { BLOCKS, HANDLES, IGNORES, FULL, STATES };

static void handle(int sig)
{
	(void)sig;
	__atomic_fetch_add(&shared->taken, 1, __ATOMIC_RELEASE);
}

static void set_queue(rlim_t most)
{
	struct rlimit limit = { .rlim_cur = most, .rlim_max = 1021 };

	CHECK(!setrlimit(RLIMIT_SIGPENDING, &limit));
}

/* A child that is in that state from its first moment. */
static pid_t target(enum state state, int sig)
{
	pid_t pid;

	set_action(sig, state == HANDLES ? handle : state == IGNORES ? SIG_IGN : SIG_DFL);
	set_queue(state == FULL ? 0 : 1021);
	set_mask(state == IGNORES ? 0 : ALL);
	pid = start(0);
	if (!pid) {
		if (state == HANDLES)
			set_mask(0);
		for (;;)
			pause();
	}
	set_mask(ALL);
	set_queue(1021);
	set_action(sig, sig == SIGCHLD ? SIG_IGN : SIG_DFL);
	return pid;
}

static enum result result_of(enum state state, int sig, int code, int round)
{
	bool is_realtime = sig >= 32;

	if (state == IGNORES)
		return IGNORED;
	if (state == BLOCKS && round && !is_realtime)
		return ALREADY_PENDING;
	if (state != FULL || sig == SIGKILL)
		return DELIVERED;
	/* The kernel finds room for a standard signal of kill(2), and else loses its siginfo. */
	if (is_realtime)
		return code == SI_USER ? LOSE_INFO : OVERFLOW_FAIL;
	if (round)
		return ALREADY_PENDING;
	return code == SI_USER ? DELIVERED : LOSE_INFO;
}

static void send_rounds(const struct call *call, enum state state, int sig)
{
	bool is_final = sig == SIGKILL || sig == SIGSTOP;
	pid_t pid;
	int i;

	if (is_final && state != BLOCKS)
		return;
	shared->taken = 0;
	pid = target(state, sig);
	aim(pid);
	for (i = 0; i < (is_final ? 1 : ROUNDS); i++) {
		enum result result = result_of(state, sig, call->code, i);
		long failed = call->send(sig);

		if (result == OVERFLOW_FAIL)
			CHECK(failed == -1 && errno == EAGAIN);
		else
			CHECK(!failed);
		note(sig, USER, result);
		while (state == HANDLES && __atomic_load_n(&shared->taken, __ATOMIC_ACQUIRE) <= i)
			sched_yield();
	}
	if (sig == SIGKILL)
		CHECK(WTERMSIG(reap(pid)) == SIGKILL);
	else
		end(pid);
}

static void all_by_calls(void)
{
	int count = count_calls(), i, sig;
	enum state state;

	for (i = 0; i < count; i++)
		for (sig = 1; sig <= SIGNALS; sig++)
			for (state = 0; state < STATES; state++)
				send_rounds(&all_calls[i], state, sig);
}

/* Timers. */

static void expire(int sig)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig };
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	int timer, i;

	CHECK(!syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
	for (i = 0; i < ROUNDS; i++) {
		note(sig, TIMER, DELIVERED);
		CHECK(!syscall(SYS_timer_settime, timer, 0, &soon, NULL));
		if (sig == SIGKILL || sig == SIGSTOP)
			for (;;)
				pause();
		CHECK(take(sig) == SI_TIMER);
	}
}

static void all_by_timers(void)
{
	int sig, status;
	pid_t pid;

	for (sig = 1; sig <= SIGNALS; sig++) {
		pid = start(0);
		if (!pid) {
			expire(sig);
			exit(0);
		}
		status = reap(pid);
		if (sig == SIGKILL)
			CHECK(WTERMSIG(status) == SIGKILL);
		else if (sig != SIGSTOP)
			CHECK(!status);
		else
			end(pid);
	}
}

static bool is_pending(int sig)
{
	unsigned long set;

	CHECK(!syscall(SYS_rt_sigpending, &set, sizeof(set)));
	return set & BIT(sig);
}

static void interval_timers(void)
{
	static const struct {
		int which, sig;
	} timers[] = {
		{ ITIMER_REAL, SIGALRM }, { ITIMER_VIRTUAL, SIGVTALRM }, { ITIMER_PROF, SIGPROF },
	};
	struct itimerval soon = { .it_value.tv_usec = 1000 };
	volatile int work;
	int i, k;

	for (k = 0; k < 3; k++)
		for (i = 0; i < ROUNDS; i++) {
			CHECK(!setitimer(timers[k].which, &soon, NULL));
			note(timers[k].sig, TIMER, DELIVERED);
			while (!is_pending(timers[k].sig))
				for (work = 0; work < 10007; work++)
					;
			take(timers[k].sig);
		}
}

/* Faults, which end a child each. */

static void read_at(volatile unsigned long address)
{
	*(volatile char *)address;
}

static void read_nothing(void)
{
	read_at(0);
}

static void read_no_address(void)
{
	read_at(1UL << 62);	/* the processor's general protection: SI_KERNEL */
}

static void read_past_end(void)
{
	int fd = memfd_create("empty", 0);
	volatile char *byte = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	CHECK((void *)byte != MAP_FAILED);
	*byte;
}

static void divide_by_zero(void)
{
	asm volatile("xor %%ecx, %%ecx; mov $1, %%eax; cltd; idiv %%ecx" ::: "eax", "ecx", "edx");
}

static void execute_nothing(void)
{
	asm volatile("ud2");
}

static void hit_breakpoint(void)
{
	asm volatile("int3");
}

static void call_forbidden(unsigned int action)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, action),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };

	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	getppid();
}

static void call_trapped(void)
{
	call_forbidden(SECCOMP_RET_TRAP);
}

static void call_deadly(void)
{
	call_forbidden(SECCOMP_RET_KILL_PROCESS);
}

static void burn(void)
{
	struct rlimit limit = { .rlim_cur = 1, .rlim_max = 60 };

	CHECK(!setrlimit(RLIMIT_CPU, &limit));
	for (;;)
		;
}

/* Each is the end of its child, by a signal that even who blocks it gets. */
static void deadly(void)
{
	static const struct {
		void (*run)(void);
		int sig;
		enum origin origin;
		bool is_blocked;
	} ends[] = {
		{ read_nothing, SIGSEGV, FAULT, true }, { read_no_address, SIGSEGV, FAULT, false },
		{ read_past_end, SIGBUS, FAULT, true }, { divide_by_zero, SIGFPE, FAULT, false },
		{ execute_nothing, SIGILL, FAULT, false }, { hit_breakpoint, SIGTRAP, FAULT, true },
		{ call_trapped, SIGSYS, SECCOMP, true }, { call_deadly, SIGSYS, SECCOMP, false },
		{ burn, SIGXCPU, LIMIT, false },
	};
	unsigned int i;
	pid_t pid;
	int k;

	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		for (k = 0; k < (ends[i].run == burn ? 1 : ROUNDS); k++) {
			note(ends[i].sig, ends[i].origin, DELIVERED);
			pid = start(0);
			if (!pid) {
				set_mask(ends[i].is_blocked ? ALL : 0);
				ends[i].run();
				exit(1);
			}
			CHECK(WTERMSIG(reap(pid)) == ends[i].sig);
		}
}

/* The terminal. */

static void put(const char *text, int fd)
{
	CHECK(write(fd, text, 1) == 1);
}

static void expect(int sig, enum origin origin)
{
	take(sig);
	note(sig, origin, DELIVERED);
}

static void nothing(int sig)
{
	(void)sig;
}

/* A job in the background that reads from its terminal, and one that sets it. */
static void use_from_background(int terminal)
{
	struct termios settings;
	pid_t pid = start(0);
	int i;
	char byte;

	if (pid) {
		CHECK(reap(pid) == 0);
		return;
	}
	CHECK(!setpgid(0, 0));
	CHECK(!tcgetattr(terminal, &settings));
	set_action(SIGTTIN, nothing);
	set_action(SIGTTOU, nothing);
	set_mask(0);
	for (i = 0; i < ROUNDS; i++) {
		CHECK(read(terminal, &byte, 1) == -1 && errno == EINTR);
		note(SIGTTIN, TERMINAL, DELIVERED);
		CHECK(tcsetattr(terminal, TCSANOW, &settings) == -1 && errno == EINTR);
		note(SIGTTOU, TERMINAL, DELIVERED);
	}
	exit(0);
}

static void session(void)
{
	struct winsize size = { .ws_row = 1, .ws_col = 1 };
	int master = posix_openpt(O_RDWR | O_NOCTTY), terminal, i;

	CHECK(master >= 0 && !grantpt(master) && !unlockpt(master));
	CHECK(setsid() > 0);
	terminal = open(ptsname(master), O_RDWR);
	CHECK(terminal >= 0);
	CHECK(tcgetpgrp(terminal) == getpid());
	for (i = 0; i < ROUNDS; i++) {
		put("\003", master);
		expect(SIGINT, TERMINAL);
		put("\034", master);
		expect(SIGQUIT, TERMINAL);
		put("\032", master);
		expect(SIGTSTP, TERMINAL);
		size.ws_row++;
		CHECK(!ioctl(master, TIOCSWINSZ, &size));
		expect(SIGWINCH, TERMINAL);
	}
	use_from_background(terminal);
	CHECK(!close(master));
	expect(SIGHUP, TERMINAL);
	expect(SIGCONT, TERMINAL);
	/* Its foreground group, of which it is the last, gets both once more when it ends. */
	set_action(SIGHUP, SIG_IGN);
	set_action(SIGCONT, SIG_IGN);
	set_mask(0);
	note(SIGHUP, TERMINAL, IGNORED);
	note(SIGCONT, TERMINAL, IGNORED);
}

/* Children. */

static pid_t start_sleeper(void)
{
	pid_t pid = start(SIGCHLD);

	if (!pid)
		for (;;)
			pause();
	return pid;
}

static void start_brief(int exit_signal)
{
	pid_t pid = start(exit_signal);

	if (!pid)
		_exit(0);
	CHECK(reap(pid) == 0);
}

static void children(void)
{
	pid_t pid;
	int i;

	set_action(SIGCHLD, SIG_DFL);
	for (i = 0; i < ROUNDS; i++) {
		start_brief(SIGCHLD);
		expect(SIGCHLD, CHILD);

		pid = start_sleeper();
		CHECK(!kill(pid, SIGSTOP));
		note(SIGSTOP, USER, DELIVERED);
		expect(SIGCHLD, CHILD);
		CHECK(WIFSTOPPED(reap(pid)));
		CHECK(!kill(pid, SIGCONT));
		note(SIGCONT, USER, DELIVERED);
		expect(SIGCHLD, CHILD);
		end(pid);
		expect(SIGCHLD, CHILD);
	}
	for (i = 0; i < ROUNDS; i++) {
		start_brief(SIGCHLD);
		note(SIGCHLD, CHILD, i ? ALREADY_PENDING : DELIVERED);
	}
	take(SIGCHLD);
	set_mask(0);
	for (i = 0; i < ROUNDS; i++) {
		start_brief(SIGCHLD);
		note(SIGCHLD, CHILD, IGNORED);
	}
	/* clone(2) takes any signal for the child's end. */
	set_mask(ALL);
	for (i = 0; i < ROUNDS; i++) {
		start_brief(SIGUSR1);
		expect(SIGUSR1, OTHER);
	}
}

/* To a child, when its parent ends. */
static void orphan(int sig)
{
	int ready[2];
	char byte;

	CHECK(!pipe(ready));
	if (!start(0)) {
		CHECK(!prctl(PR_SET_PDEATHSIG, sig));
		put("r", ready[1]);
		expect(sig, PARENT_DEATH);
		exit(0);
	}
	CHECK(read(ready[0], &byte, 1) == 1);
}

static void orphans(void)
{
	orphan(SIGUSR2);
	orphan(SIGTERM);
	orphan(SIGRTMAX);
}

/* To a process, when that one ends which traces it. */
static void tracers(void)
{
	pid_t tracee, tracer;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		tracee = start(0);
		if (!tracee)
			for (;;)
				pause();
		tracer = start(0);
		if (!tracer) {
			CHECK(!ptrace(PTRACE_SEIZE, tracee, NULL, PTRACE_O_EXITKILL));
			_exit(0);
		}
		CHECK(!reap(tracer));
		CHECK(WTERMSIG(reap(tracee)) == SIGKILL);
		note(SIGKILL, TRACER_EXIT, DELIVERED);
	}
}

/* To all processes of a PID namespace, when the first one ends. */
static void namespaces(void)
{
	pid_t init;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		init = start(CLONE_NEWPID);
		if (!init) {
			if (!start(0))
				for (;;)
					pause();
			_exit(0);
		}
		CHECK(!reap(init));
		note(SIGKILL, PID_NAMESPACE, DELIVERED);
	}
}

/* I/O and limits. */

static void write_to_nobody(void)
{
	int ends[2], i;

	CHECK(!pipe(ends));
	CHECK(!close(ends[0]));
	for (i = 0; i < ROUNDS; i++) {
		CHECK(write(ends[1], "x", 1) == -1 && errno == EPIPE);
		expect(SIGPIPE, IO);
	}
}

static void write_past_limit(void)
{
	struct rlimit limit = { .rlim_cur = 0, .rlim_max = 0 };
	int fd = memfd_create("limited", 0), i;

	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	for (i = 0; i < ROUNDS; i++) {
		CHECK(write(fd, "x", 1) == -1 && errno == EFBIG);
		expect(SIGXFSZ, LIMIT);
	}
}

/* fcntl(2) F_SETSIG; 0 stands for SIGIO. */
static void readable(int sig, enum origin origin)
{
	int ends[2], i;
	char byte;

	CHECK(!pipe(ends));
	CHECK(!fcntl(ends[0], F_SETOWN, getpid()));
	CHECK(!fcntl(ends[0], F_SETSIG, sig));
	CHECK(!fcntl(ends[0], F_SETFL, O_ASYNC));
	for (i = 0; i < ROUNDS; i++) {
		put("x", ends[1]);
		expect(sig ? sig : SIGIO, origin);
		CHECK(read(ends[0], &byte, 1) == 1);
	}
	/* Else the end of the other side raised it once more. */
	CHECK(!fcntl(ends[0], F_SETFL, 0));
}

static void io(void)
{
	readable(0, IO);
	readable(SIGSEGV, IO);	/* SI_SIGIO */
	readable(SIGRTMIN + 7, IO);
	write_to_nobody();
	write_past_limit();
}

static void prepare(void)
{
	struct sigaction action = { .sa_handler = SIG_IGN };

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	CHECK(!sigaction(SIGCHLD, &action, NULL));
	CHECK(!syscall(SYS_rt_sigaction, SIGCHLD, NULL, &plain, sizeof(plain.mask)));
	set_mask(ALL);
	/* Orphans of ours are ours to reap. */
	CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 1));
}

static void print(void)
{
	const char *comma = "";
	int sig, origin, result;

	printf("[");
	for (sig = 1; sig <= SIGNALS; sig++)
		for (origin = 0; origin < ORIGINS; origin++)
			for (result = 0; result < RESULTS; result++) {
				long count = shared->did[sig][origin][result];

				if (!count)
					continue;
				printf("%s[%d, \"%s\", \"%s\", %ld]", comma, sig,
				       origins[origin], results[result], count);
				comma = ",\n";
			}
	printf("]\n");
}

int main(void)
{
	prepare();
	all_by_calls();
	all_by_timers();
	deadly();
	in_child(interval_timers);
	in_child(session);
	in_child(children);
	in_child(orphans);
	in_child(tracers);
	in_child(namespaces);
	in_child(io);
	while (waitpid(-1, NULL, __WALL) > 0)
		;
	print();
	return 0;
}
