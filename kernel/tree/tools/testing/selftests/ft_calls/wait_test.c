// SPDX-License-Identifier: GPL-2.0
/* ft_wait(status) must do what wait4(-1, status, 0, NULL) does: see ft_calls.h. */
#include "ft_calls.h"

#define UNTOUCHED	(-7)

/* Wait once and tell what came: who, and the status if there is one. */
static void see_wait(const struct ops *ops, pid_t pid, int expected, const char *what)
{
	int status = UNTOUCHED;

	see(ops->wait(&status), pid, "%s: returned", what);
	see(status, pid > 0 ? expected : UNTOUCHED, "%s: status", what);
}

static void see_wait_none(const struct ops *ops, const char *what)
{
	see_wait(ops, -ECHILD, 0, what);
}

CASE(nobody)
{
	see_wait_none(ops, "no child");
	see(ops->wait(NULL), -ECHILD, "no child, NULL");
	see(ops->wait((int *)8), -ECHILD, "no child, bad pointer");
}

CASE(exit_codes)
{
	static const int codes[] = { 0, 1, 2, 127, 128, 255, 256, 257, -1 };
	unsigned int i;
	pid_t pid;

	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		pid = spawn_exit(ops, codes[i]);
		see_wait(ops, pid, (codes[i] & 0xff) << 8, "exit");
	}
	pid = spawn_exit(ops, 3);
	see(ops->wait(NULL), pid, "NULL");
	see_wait_none(ops, "after the last");
}

/* Zombies in the order of their birth, not of their death. */
CASE(order)
{
	pid_t pids[5];
	int i;

	for (i = 0; i < 5; i++)
		pids[i] = spawn_doze(ops);
	for (i = 4; i >= 0; i--) {
		must(!kill(pids[i], SIGTERM));
		await_zombie(pids[i]);
	}
	for (i = 0; i < 5; i++)
		see_wait(ops, pids[i], SIGTERM, "zombie");
	see_wait_none(ops, "after the last");
}

/* A child of another process group, or session, is a child. */
CASE(other_group)
{
	pid_t pid = spawn(ops);

	if (!pid) {
		must(!setpgid(0, 0));
		_exit(27);
	}
	see_wait(ops, pid, 27 << 8, "group");
	pid = spawn(ops);
	if (!pid) {
		must(setsid() > 0);
		_exit(28);
	}
	see_wait(ops, pid, 28 << 8, "session");
}

static long switches_of(pid_t pid)
{
	return status_of(pid, "voluntary_ctxt_switches", 10) +
	       status_of(pid, "nonvoluntary_ctxt_switches", 10);
}

/* It sleeps until the child ends, and neither spins nor polls. */
CASE(blocking)
{
	long before, end = now_ms() + 10000;
	pid_t waiter, child;

	record->word[0] = 0;
	waiter = fork();
	must(waiter >= 0);
	if (!waiter) {
		child = spawn(ops);
		if (!child) {
			until(record->word[0]);
			_exit(4);
		}
		see_wait(ops, child, 4 << 8, "child");
		_exit(0);
	}
	/* It has gone to sleep when nothing changes any more. */
	do {
		until(state_of(waiter) == 'S');
		before = switches_of(waiter);
		sleep_ms(50);
	} while (now_ms() < end && switches_of(waiter) != before);
	sleep_ms(200);
	see(state_of(waiter), 'S', "state of the waiter");
	see(switches_of(waiter) - before, 0, "switches of the waiter");
	record->word[0] = 1;
	see(reap(waiter), 0, "status of the waiter");
}

/* The child is gone although its status could not be told. */
CASE(bad_pointer)
{
	int *readonly = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int *edge = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct rusage usage;
	unsigned int i;
	long before;

	must(readonly != MAP_FAILED && edge != MAP_FAILED);
	int *const bad[] = {
		(int *)8, readonly, (int *)-1L, (int *)(-4096L * 4096), (int *)LONG_MIN,
	};

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		pid_t pid = spawn_exit(ops, 3);

		see(ops->wait(bad[i]), -EFAULT, "pointer %u", i);
		see(raw(kill(pid, 0)), -ESRCH, "pointer %u: the child is gone", i);
		see_wait_none(ops, "after it");
	}
	/* One call, one zombie: the next is not lost with it. */
	for (i = 0; i < 2; i++)
		await_zombie(spawn_exit(ops, i));
	see(ops->wait(readonly), -EFAULT, "the first of two");
	see(ops->wait(edge + 1023) > 0, true, "the last int of a page");
	see(edge[1023], 1 << 8, "status there");
	see_wait_none(ops, "after both");
	/* Nor is what it used. */
	must(!getrusage(RUSAGE_CHILDREN, &usage));
	before = usage.ru_minflt;
	spawn_exit(ops, 3);
	see(ops->wait(readonly), -EFAULT, "once more");
	must(!getrusage(RUSAGE_CHILDREN, &usage));
	see(usage.ru_minflt > before, true, "faults of the lost one");
}

static void *thread_spawn(void *arg)
{
	const struct ops *ops = arg;

	record->word[0] = spawn_exit(ops, 11);
	until(record->word[1]);
	return NULL;
}

static void *thread_wait(void *arg)
{
	const struct ops *ops = arg;
	int status = UNTOUCHED;
	int nr = record->word[6]++;

	record->word[nr] = ops->wait(&status);
	record->word[nr + 2] = status;
	return NULL;
}

/* Children of every thread, be it there or gone. */
CASE(threads)
{
	pthread_t thread;
	pid_t pid;

	must(!pthread_create(&thread, NULL, thread_spawn, (void *)ops));
	until(record->word[0]);
	see_wait(ops, record->word[0], 11 << 8, "child of another thread");
	see_wait_none(ops, "after it");
	record->word[1] = 1;
	must(!pthread_join(thread, NULL));

	must(!pthread_create(&thread, NULL, thread_spawn, (void *)ops));
	must(!pthread_join(thread, NULL));
	see_wait(ops, record->word[0], 11 << 8, "child of a gone thread");

	pid = spawn_exit(ops, 12);
	must(!pthread_create(&thread, NULL, thread_wait, (void *)ops));
	must(!pthread_join(thread, NULL));
	see(record->word[0], pid, "waited by another thread");
	see(record->word[2], 12 << 8, "its status");
	see_wait_none(ops, "after it");
}

/* Of two who wait for one child one gets it, the other hears that none is left. */
CASE(two_waiters)
{
	pthread_t threads[2];
	int i, got, left;
	pid_t pid;

	record->word[5] = 0;
	pid = spawn(ops);
	if (!pid) {
		until(record->word[5]);
		_exit(13);
	}
	for (i = 0; i < 2; i++)
		must(!pthread_create(&threads[i], NULL, thread_wait, (void *)ops));
	until(record->word[6] == 2);
	until(state_of(pid + 1) == 'S' && state_of(pid + 2) == 'S');
	record->word[5] = 1;
	for (i = 0; i < 2; i++)
		must(!pthread_join(threads[i], NULL));
	got = record->word[0] > 0 ? 0 : 1;
	left = !got;
	see(record->word[got], pid, "one waiter");
	see(record->word[got + 2], 13 << 8, "its status");
	see(record->word[left], -ECHILD, "the other waiter");
	see(record->word[left + 2], UNTOUCHED, "its status");
}

/* Who does not want to hear of children waits for the last to be gone. */
CASE(sigchld_ignored)
{
	pid_t pid;

	signal(SIGCHLD, SIG_IGN);
	record->word[0] = 0;
	spawn_exit(ops, 1);
	pid = spawn(ops);
	if (!pid) {
		until(record->word[0]);
		_exit(2);
	}
	if (!spawn(ops)) {
		sleep_ms(50);
		record->word[0] = 1;
		_exit(3);
	}
	see_wait_none(ops, "three children");
	until(!state_of(pid));

	/* A zombie from before is a zombie. */
	signal(SIGCHLD, SIG_DFL);
	pid = spawn_exit(ops, 4);
	await_zombie(pid);
	signal(SIGCHLD, SIG_IGN);
	see_wait(ops, pid, 4 << 8, "one from before");
}

CASE(no_child_wait)
{
	pid_t pid;

	catch_signal(SIGCHLD, SA_NOCLDWAIT | SA_RESTART);
	pid = spawn_exit(ops, 5);
	see_wait_none(ops, "SA_NOCLDWAIT");
	until(record->catches == 1);
	see_caught(0, getpid(), SIGCHLD, CLD_EXITED, pid, 0);
	see(record->caught[0].status, 5, "si_status");
}

static void alarm_every(unsigned int ms)
{
	struct itimerval timer = { { 0, ms * 1000 }, { 0, ms * 1000 } };

	must(!setitimer(ITIMER_REAL, &timer, NULL));
}

/*
 * Nothing comes but the alarm. It comes again and again, as the first may be
 * early for a slow machine.
 */
static void see_wait_interrupted(const struct ops *ops, const char *what)
{
	catch_signal(SIGALRM, 0);
	alarm_every(50);
	see_wait(ops, -EINTR, 0, what);
	alarm_every(0);
}

#define AUTOREAP	0x400000000ULL	/* of clone3(2), since 7.1 */

/* A child that leaves no zombie; -EINVAL where the kernel has no such. */
static pid_t spawn_auto_reaped(void)
{
	const __u64 args[8] = { AUTOREAP };
	pid_t pid = raw(syscall(__NR_clone3, args, sizeof(args)));

	if (!pid)
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	return pid;
}

/* It is waited for and told to nobody; a child of its own is as any. */
CASE(auto_reaped)
{
	pid_t pid = spawn_auto_reaped(), other;

	if (!pid) {
		other = spawn_exit(ops, 5);
		see_wait(ops, other, 5 << 8, "its own child");
		see_wait_none(ops, "after its own child");
		_exit(6);
	}
	see(pid < 0 ? pid : 0, SAME, "clone3");
	if (pid < 0)
		return;
	see_wait_none(ops, "auto-reaped");

	pid = spawn_auto_reaped();
	if (!pid)
		doze();
	other = spawn_exit(ops, 7);
	see_wait(ops, other, 7 << 8, "beside an auto-reaped one");
	see(ops->kill(pid, SIGTERM), 0, "kill");
	see_wait_none(ops, "auto-reaped, killed");
	see(ops->kill(pid, 0), -ESRCH, "kill after it");
}

/* A child that stopped or went on is no news. */
CASE(stopped)
{
	pid_t pid = spawn_doze(ops);

	must(!kill(pid, SIGSTOP));
	until(state_of(pid) == 'T');
	see_wait_interrupted(ops, "stopped");
	must(!kill(pid, SIGCONT));
	see_wait_interrupted(ops, "continued");
	must(!kill(pid, SIGTERM));
	see_wait(ops, pid, SIGTERM, "ended");
}

CASE(interrupted)
{
	pid_t pid = spawn(ops);
	unsigned int before;

	if (!pid) {
		until(record->word[0] && shared_pending(getppid()));
		_exit(26);
	}
	see_wait_interrupted(ops, "without SA_RESTART");
	see(record->catches > 0, true, "alarms");
	/* Not by a signal that is blocked. */
	block_all();
	before = record->catches;
	alarm_every(50);
	record->word[0] = 1;
	see_wait(ops, pid, 26 << 8, "blocked");
	see(record->catches - before, 0, "alarms while blocked");
	see(shared_pending(getpid()) >> (SIGALRM - 1) & 1, 1, "pending");
}

CASE(restarted)
{
	pid_t pid, me = getpid();
	unsigned int i;

	catch_signal(SIGUSR1, SA_RESTART);
	pid = spawn(ops);
	if (!pid) {
		for (i = 1; i <= 3; i++) {
			until(state_of(me) == 'S');
			must(!kill(me, SIGUSR1));
			until(record->catches == i);
		}
		until(state_of(me) == 'S');
		_exit(14);
	}
	see_wait(ops, pid, 14 << 8, "with SA_RESTART");
	see(record->catches, 3, "signals");
}

/*
 * A signal that is pending when the call begins. The child is a
 * @zombie, which is found first, or stays until the signal was taken.
 */
static void wait_with_signal(const struct ops *ops, int flags, bool take, bool zombie)
{
	bool ends = !zombie && take && !(flags & SA_RESTART);
	pid_t tracee, pid;
	int status;

	forget_caught();
	record->word[0] = 0;
	tracee = spawn(ops);
	if (!tracee) {
		pid = spawn(ops);
		if (!pid) {
			until(zombie || record->word[0]);
			_exit(32);
		}
		if (zombie)
			await_zombie(pid);
		catch_signal(SIGUSR1, flags);
		must(!ptrace(PTRACE_TRACEME, 0, 0, 0));
		must(!kill(getpid(), SIGSTOP));
		see_wait(ops, ends ? -EINTR : pid, 32 << 8, "tracee");
		_exit(0);
	}
	must(waitpid(tracee, &status, 0) == tracee && WIFSTOPPED(status));
	see(result_after_signal(tracee), zombie ? tracee + 1 : -ERESTARTSYS,
	    "returned within the kernel");
	release_to_signal(tracee, take);
	if (take)
		until(record->catches);
	record->word[0] = 1;
	see(reap(tracee), 0, "status");
	see(record->catches, take, "caught");
	if (take)
		see_caught(0, tracee, SIGUSR1, SI_USER, getpid(), 0);
}

CASE(signal_first)
{
	wait_with_signal(ops, 0, true, false);
	wait_with_signal(ops, SA_RESTART, true, false);
	wait_with_signal(ops, 0, false, false);
	wait_with_signal(ops, 0, true, true);
	wait_with_signal(ops, SA_RESTART, true, true);
}

/* A stop and SIGCONT without a handler do not end the wait, nor does SIG_IGN. */
CASE(stopped_waiter)
{
	pid_t waiter = fork();

	must(waiter >= 0);
	if (!waiter) {
		pid_t pid = spawn(ops);

		if (!pid) {
			until(record->word[0]);
			_exit(15);
		}
		signal(SIGUSR1, SIG_IGN);
		record->word[1] = 1;
		see_wait(ops, pid, 15 << 8, "after a stop");
		_exit(0);
	}
	until(record->word[1] && state_of(waiter) == 'S');
	must(!kill(waiter, SIGSTOP));
	until(state_of(waiter) == 'T');
	must(!kill(waiter, SIGCONT));
	until(state_of(waiter) == 'S');
	must(!kill(waiter, SIGUSR1));
	sleep_ms(10);
	record->word[0] = 1;
	see(reap(waiter), 0, "status of the waiter");
}

CASE(killed_waiter)
{
	pid_t waiter = fork();

	must(waiter >= 0);
	if (!waiter) {
		spawn_doze(ops);
		record->word[0] = 1;
		ops->wait(NULL);
		_exit(0);
	}
	until(record->word[0] && state_of(waiter) == 'S');
	must(!kill(waiter, SIGTERM));
	see(reap(waiter), SIGTERM, "status of the waiter");
}

/* The child's own SIGCHLD does not take its end away, SA_RESTART or not. */
CASE(sigchld_handler)
{
	pid_t pid;
	int i;

	for (i = 0; i < 20; i++) {
		catch_signal(SIGCHLD, i % 2 ? SA_RESTART : 0);
		pid = spawn_exit(ops, i);
		see_wait(ops, pid, i << 8, "child");
	}
	see(record->catches, 20, "SIGCHLD");
}

/* One that was told by the signal is still there to be waited for. */
CASE(sigchld_info)
{
	static const struct {
		uid_t uid;
		int sig;
		int code;
	} rows[] = {
		{ 0, SIGTERM, CLD_KILLED },
		{ 0, SIGKILL, CLD_KILLED },
		{ 0, 0, CLD_EXITED },
		{ NOBODY, SIGUSR1, CLD_KILLED },
		{ NOBODY, 0, CLD_EXITED },
	};
	unsigned int i;

	catch_signal(SIGCHLD, SA_RESTART);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid;

		record->word[0] = 0;
		pid = spawn(ops);
		if (!pid) {
			become(rows[i].uid);
			if (!rows[i].sig)
				_exit(16);
			record->word[0] = 1;
			doze();
		}
		if (rows[i].sig) {
			until(record->word[0]);
			must(!ops->kill(pid, rows[i].sig));
		}
		until(record->catches == i + 1);
		see_caught(i, getpid(), SIGCHLD, rows[i].code, pid, rows[i].uid);
		see(record->caught[i].status, rows[i].sig ?: 16, "si_status");
		see_wait(ops, pid, rows[i].sig ?: 16 << 8, "child");
	}
}

#define CORE_PATTERN	"/proc/sys/kernel/core_pattern"

static void every_signal(const struct ops *ops, rlim_t core)
{
	const unsigned long cores =
		1UL << SIGQUIT | 1UL << SIGILL | 1UL << SIGTRAP | 1UL << SIGABRT |
		1UL << SIGBUS | 1UL << SIGFPE | 1UL << SIGSEGV | 1UL << SIGXCPU |
		1UL << SIGXFSZ | 1UL << SIGSYS;
	struct rlimit limit = { core, core };
	int sig, status;
	char name[32];
	pid_t pid;

	must(!mount("tmpfs", "/mnt", "tmpfs", 0, NULL));
	must(!chdir("/mnt"));
	must(!setrlimit(RLIMIT_CORE, &limit));
	for (sig = 1; sig <= SIGNALS; sig++) {
		bool dumps = core && sig < 64 && cores >> sig & 1;

		if (sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH ||
		    sig == SIGCONT || sig == SIGSTOP || sig == SIGTSTP ||
		    sig == SIGTTIN || sig == SIGTTOU)
			continue;
		pid = spawn_doze(ops);
		must(!ops->kill(pid, sig));
		see(ops->wait(&status), pid, "killed by %d", sig);
		see(status, sig | (dumps ? 0x80 : 0), "killed by %d: status", sig);
		snprintf(name, sizeof(name), "core.%d", pid);
		see(!access(name, F_OK), dumps, "killed by %d: core", sig);
		unlink(name);
	}
	must(!chdir("/"));
	must(!umount("/mnt"));
}

static void killed_case(const struct ops *ops)
{
	every_signal(ops, RLIM_INFINITY);
}

static void killed_without_core_case(const struct ops *ops)
{
	every_signal(ops, 0);
}

/* With cores where the cases look for them. */
FIXTURE(core)
{
	char pattern[256];
};

FIXTURE_SETUP(core)
{
	ASSERT_TRUE(read_file(CORE_PATTERN, self->pattern, sizeof(self->pattern)));
	ASSERT_TRUE(write_file(CORE_PATTERN, "core.%p"));
}

FIXTURE_TEARDOWN(core)
{
	EXPECT_TRUE(write_file(CORE_PATTERN, self->pattern));
}

TEST_F(core, killed)
{
	compare(_metadata, killed_case);
}

TEST_F(core, killed_without_core)
{
	compare(_metadata, killed_without_core_case);
}

/* A tracee that stops is news for its tracer, without WUNTRACED. */
CASE(tracee)
{
	pid_t pid = spawn(ops);

	if (!pid) {
		must(!ptrace(PTRACE_TRACEME, 0, 0, 0));
		kill(getpid(), SIGUSR1);
		kill(getpid(), SIGSTOP);
		_exit(17);
	}
	see_wait(ops, pid, SIGUSR1 << 8 | 0x7f, "stop for a signal");
	/* Once. */
	see_wait_interrupted(ops, "the same stop again");
	must(!ptrace(PTRACE_CONT, pid, 0, 0));
	see_wait(ops, pid, SIGSTOP << 8 | 0x7f, "stop for SIGSTOP");
	must(!ptrace(PTRACE_SYSCALL, pid, 0, 0));
	see_wait(ops, pid, SIGTRAP << 8 | 0x7f, "entry of a call");
	must(!ptrace(PTRACE_CONT, pid, 0, 0));
	see_wait(ops, pid, 17 << 8, "end");
	see_wait_none(ops, "after it");
}

/* The end of a grandchild is told to its tracer and then to its parent. */
CASE(traced_grandchild)
{
	pid_t child = spawn(ops), grandchild;
	int status;

	if (!child) {
		grandchild = spawn(ops);
		if (!grandchild)
			doze();
		record->word[0] = grandchild;
		record->word[1] = ops->wait(&status);
		record->word[2] = status;
		_exit(18);
	}
	until(record->word[0]);
	grandchild = record->word[0];
	until(state_of(child) == 'S' && state_of(grandchild) == 'S');
	must(!ptrace(PTRACE_SEIZE, grandchild, 0, 0));
	must(!ptrace(PTRACE_INTERRUPT, grandchild, 0, 0));
	see_wait(ops, grandchild, PTRACE_EVENT_STOP << 16 | SIGTRAP << 8 | 0x7f,
		 "tracer: stop");
	must(!kill(grandchild, SIGKILL));
	see_wait(ops, grandchild, SIGKILL, "tracer: end");
	see_wait(ops, child, 18 << 8, "child");
	see_wait_none(ops, "after both");
	see(record->word[1], grandchild, "parent: returned");
	see(record->word[2], SIGKILL, "parent: status");
}

/* Children that clone() made with another exit signal are not waited for. */
static void clone_child(const struct ops *ops, int sig, const char *what)
{
	int status;
	pid_t pid;

	signal(SIGUSR1, SIG_IGN);
	pid = syscall(__NR_clone, sig, 0, 0, 0, 0);
	must(pid >= 0);
	if (!pid)
		_exit(19);
	see_wait_none(ops, what);
	must(waitpid(pid, &status, __WCLONE) == pid);
	see(status, 19 << 8, "%s: for __WCLONE", what);

	/* Unless they are traced. */
	record->word[0] = 0;
	pid = syscall(__NR_clone, sig, 0, 0, 0, 0);
	must(pid >= 0);
	if (!pid) {
		must(!ptrace(PTRACE_TRACEME, 0, 0, 0));
		kill(getpid(), SIGSTOP);
		_exit(20);
	}
	until(state_of(pid) == 't');
	see_wait(ops, pid, SIGSTOP << 8 | 0x7f, "traced: stop");
	must(!ptrace(PTRACE_CONT, pid, 0, 0));
	see_wait(ops, pid, 20 << 8, "traced: end");
}

CASE(clone_children)
{
	clone_child(ops, 0, "no exit signal");
	clone_child(ops, SIGUSR1, "SIGUSR1");
}

/* execve() makes the exit signal SIGCHLD. */
CASE(clone_child_execs)
{
	pid_t pid = syscall(__NR_clone, SIGUSR1, 0, 0, 0, 0);

	must(pid >= 0);
	if (!pid) {
		execl("/proc/self/exe", "wait_test", "exit", "29", NULL);
		_exit(1);
	}
	signal(SIGUSR1, SIG_IGN);
	until(exit_signal_of(pid) == SIGCHLD);
	see_wait(ops, pid, 29 << 8, "after execve()");
	see_wait_none(ops, "after it");
}

static pid_t spawn_orphan(const struct ops *ops)
{
	pid_t pid;

	record->word[0] = 0;
	pid = spawn(ops);
	if (!pid) {
		pid = spawn(ops);
		if (!pid) {
			until(record->word[0]);
			_exit(21);
		}
		record->word[1] = pid;
		_exit(22);
	}
	return pid;
}

/* Orphans come to init, or to the next ancestor that wants them. */
CASE(orphan)
{
	pid_t pid = spawn_orphan(ops);

	see_wait(ops, pid, 22 << 8, "child");
	see(status_of(record->word[1], "PPid", 10), 1, "parent of the orphan");
	see_wait_none(ops, "grandchild");
	record->word[0] = 1;
	until(!state_of(record->word[1]));

	must(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = spawn_orphan(ops);
	see_wait(ops, pid, 22 << 8, "child, subreaper");
	see(status_of(record->word[1], "PPid", 10), getpid(), "parent of the orphan");
	record->word[0] = 1;
	see_wait(ops, record->word[1], 21 << 8, "grandchild, subreaper");
	see_wait_none(ops, "after both");
}

static void *thread_exit_later(void *unused)
{
	until(record->word[0]);
	syscall(__NR_exit, 9);
	return unused;
}

/* A process is not over before its last thread is. */
CASE(leader_first)
{
	pid_t pid = spawn(ops);

	if (!pid) {
		pthread_t thread;

		must(!pthread_create(&thread, NULL, thread_exit_later, NULL));
		syscall(__NR_exit, 8);
	}
	until(state_of(pid) == 'Z');
	see_wait_interrupted(ops, "leader gone");
	record->word[0] = 1;
	/* The last one's word is the process's. */
	see_wait(ops, pid, 9 << 8, "all gone");
}

/* What @pid, a zombie, used with its children; the last of it is still to come. */
static void usage_of_zombie(pid_t pid, struct rusage *usage)
{
	struct rusage before;

	do {
		must(!syscall(__NR_waitid, P_PID, pid, NULL, WEXITED | WNOWAIT, &before));
		sleep_ms(20);
		must(!syscall(__NR_waitid, P_PID, pid, NULL, WEXITED | WNOWAIT, usage));
	} while (memcmp(&before, usage, sizeof(before)));
}

static long microseconds(struct timeval time)
{
	return time.tv_sec * 1000000 + time.tv_usec;
}

/* What a child used is the parent's from when it was waited for. */
CASE(usage)
{
	const size_t size = 8 << 20;
	struct rusage usage, zombie;
	pid_t pid = spawn(ops);

	if (!pid) {
		struct rusage own;

		mmap(NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
		do {
			getrusage(RUSAGE_SELF, &own);
		} while (microseconds(own.ru_utime) < 30000);
		if (!spawn(ops)) {
			do {
				getrusage(RUSAGE_SELF, &own);
			} while (microseconds(own.ru_utime) < 20000);
			_exit(0);
		}
		ops->wait(NULL);
		_exit(0);
	}
	await_zombie(pid);
	must(!getrusage(RUSAGE_CHILDREN, &usage));
	see(microseconds(usage.ru_utime), 0, "user time before");
	see(microseconds(usage.ru_stime), 0, "system time before");
	see(usage.ru_minflt, 0, "faults before");
	see(usage.ru_maxrss, 0, "size before");
	see(usage.ru_nvcsw + usage.ru_nivcsw, 0, "switches before");
	usage_of_zombie(pid, &zombie);
	see(microseconds(zombie.ru_utime) >= 50000, true, "user time of the zombie");
	see(zombie.ru_minflt > 0, true, "faults of the zombie");
	see(zombie.ru_maxrss >= (long)size / 1024, true, "size of the zombie");
	see(zombie.ru_nvcsw + zombie.ru_nivcsw > 0, true, "switches of the zombie");
	see_wait(ops, pid, 0, "child");
	must(!getrusage(RUSAGE_CHILDREN, &usage));
	see(microseconds(usage.ru_utime) == microseconds(zombie.ru_utime), true, "user time");
	see(microseconds(usage.ru_stime) == microseconds(zombie.ru_stime), true, "system time");
	see(usage.ru_minflt == zombie.ru_minflt, true, "faults");
	see(usage.ru_majflt == zombie.ru_majflt, true, "faults with I/O");
	see(usage.ru_maxrss == zombie.ru_maxrss, true, "size");
	see(usage.ru_inblock == zombie.ru_inblock, true, "blocks read");
	see(usage.ru_oublock == zombie.ru_oublock, true, "blocks written");
	see(usage.ru_nvcsw == zombie.ru_nvcsw, true, "voluntary switches");
	see(usage.ru_nivcsw == zombie.ru_nivcsw, true, "involuntary switches");

	/* Of one that goes by itself nothing stays. */
	pid = fork();
	must(pid >= 0);
	if (!pid) {
		signal(SIGCHLD, SIG_IGN);
		spawn_exit(ops, 0);
		see_wait_none(ops, "ignored");
		must(!getrusage(RUSAGE_CHILDREN, &usage));
		see(usage.ru_minflt, 0, "faults of the ignored");
		_exit(0);
	}
	must(!reap(pid));
}

/* Children of a lower PID namespace have an id in this one. */
CASE(pid_namespace)
{
	pid_t pid = spawn_in(CLONE_NEWPID), waiter;

	if (!pid) {
		pid = spawn_exit(ops, 1);
		see_wait(ops, 2, 1 << 8, "in there");
		/* Its init gets the orphans. */
		pid = spawn_orphan(ops);
		see_wait(ops, 3, 22 << 8, "child of init");
		record->word[0] = 1;
		see_wait(ops, 4, 21 << 8, "orphan");
		see_wait_none(ops, "after both");
		_exit(24);
	}
	see_wait(ops, pid, 24 << 8, "init of the namespace");

	waiter = fork();
	must(waiter >= 0);
	if (!waiter) {
		must(!unshare(CLONE_NEWPID));
		pid = spawn_exit(ops, 25);
		see_wait(ops, getpid() + 1, 25 << 8, "after unshare()");
		_exit(0);
	}
	must(!reap(waiter));
}

CASE(tracepoint)
{
	static const char *const events[] = { "sched/sched_process_wait", NULL };
	static struct trace trace;
	const char *at = trace.text, *args;
	pid_t pid = spawn_doze(ops);
	int i;

	trace_start(&trace, events);
	see_wait_interrupted(ops, "interrupted");	/* one */
	must(!kill(pid, SIGKILL));
	see_wait(ops, pid, SIGKILL, "child");		/* two */
	see_wait_none(ops, "nobody");			/* three */
	trace_stop(&trace);

	for (i = 0; i < 3; i++) {
		args = trace_next(&at, "sched_process_wait: ");
		must(args);
		see(trace_field(args, " pid="), 0, "event %d: anybody", i);
		see(trace_field(args, "prio="), SAME, "event %d: prio", i);
	}
	see(!trace_next(&at, "sched_process_wait: "), true, "no more of them");
}

#ifdef __x86_64__
TEST(x32)
{
	const char *error = x32_error(WAIT, __NR_ft_wait);

	if (!error)
		SKIP(return, "this kernel has x32");
	EXPECT_STREQ("ENOSYS", error);
}
#endif

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "exit"))
		return atoi(argv[2]);
	return run_cases(argc, argv);
}
