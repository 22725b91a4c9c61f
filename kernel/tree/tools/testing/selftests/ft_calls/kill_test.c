// SPDX-License-Identifier: GPL-2.0
/* ft_kill() must do what kill() does: see ft_calls.h. */
#include "ft_calls.h"

#include <linux/capability.h>

#define USER_A		1001
#define USER_B		1002

/* What a signal does to a process that did nothing about it. */
static bool ignored_by_default(int sig)
{
	return sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT;
}

static bool stops_by_default(int sig)
{
	return sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;
}

/* A child that catches @sig; it does so when this returns. */
static pid_t spawn_catcher(const struct ops *ops, int sig)
{
	pid_t pid;

	record->word[0] = 0;
	pid = spawn(ops);
	if (!pid) {
		catch_signal(sig, 0);
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);
	return pid;
}

/* A child of @uid that blocks every signal, and can hold @limit of them. */
static pid_t spawn_blocker(const struct ops *ops, uid_t uid, rlim_t limit)
{
	pid_t pid;

	record->word[0] = 0;
	pid = spawn(ops);
	if (!pid) {
		struct rlimit rlimit = { limit, limit };

		must(!setrlimit(RLIMIT_SIGPENDING, &rlimit));
		block_all();
		become(uid);
		record->word[1] = outer_pid();
		record->word[0] = 1;
		/* Then tells what is pending, in the order of delivery. */
		until(record->word[0] == 2);
		for (;;) {
			struct timespec zero = {};
			siginfo_t info;
			sigset_t all;
			int sig;

			sigfillset(&all);
			sig = sigtimedwait(&all, &info, &zero);
			if (sig < 0)
				_exit(0);
			catcher(sig, &info, NULL);
		}
	}
	until(record->word[0]);
	return pid;
}

/* Run @ops->kill() in a child that is the user @uid. */
static int kill_as(const struct ops *ops, uid_t uid, pid_t pid, int sig)
{
	pid_t sender;

	sender = spawn(ops);
	if (!sender) {
		become(uid);
		record->word[7] = ops->kill(pid, sig);
		_exit(0);
	}
	must(!reap(sender));
	return record->word[7];
}

static void *thread_pause(void *unused)
{
	record->word[3] = outer_tid();
	record->word[2] = syscall(__NR_gettid);
	doze();
	return unused;
}

/* Start a thread that sleeps; returns its id. */
static pid_t start_thread(void)
{
	pthread_t thread;

	record->word[2] = 0;
	must(!pthread_create(&thread, NULL, thread_pause, NULL));
	until(record->word[2]);
	return record->word[2];
}

CASE(whom)
{
	pid_t me = getpid(), gone, zombie, other, thread;

	gone = spawn_exit(ops, 0);
	reap(gone);
	zombie = spawn_exit(ops, 7);
	await_zombie(zombie);
	other = spawn_doze(ops);
	thread = start_thread();
	signal(SIGUSR1, SIG_IGN);

	const struct {
		const char *what;
		pid_t pid;
		int sig;
		int expected;
	} rows[] = {
		{ "self", me, 0, 0 },
		{ "self", me, SIGUSR1, 0 },
		{ "self", me, -1, -EINVAL },
		{ "self", me, 65, -EINVAL },
		{ "self", me, 1000000, -EINVAL },
		{ "self", me, INT_MIN, -EINVAL },
		{ "own thread", thread, 0, 0 },
		{ "own thread", thread, SIGUSR1, 0 },
		{ "own group", 0, 0, 0 },
		{ "own group", 0, 65, -EINVAL },
		{ "own group by id", -me, 0, 0 },
		{ "own group by id", -me, SIGURG, 0 },
		{ "own group by id", -me, -1, -EINVAL },
		{ "child", other, 0, 0 },
		{ "child", other, SIGURG, 0 },
		{ "child", other, 65, -EINVAL },
		{ "no group", -other, 0, -ESRCH },
		{ "no group", -other, 65, -ESRCH },
		{ "group of a thread", -thread, 0, -ESRCH },
		{ "zombie", zombie, 0, 0 },
		{ "zombie", zombie, SIGTERM, 0 },
		{ "zombie", zombie, SIGKILL, 0 },
		{ "zombie", zombie, 65, -EINVAL },
		{ "gone", gone, 0, -ESRCH },
		{ "gone", gone, SIGTERM, -ESRCH },
		{ "gone", gone, 65, -ESRCH },
		{ "group of the gone", -gone, SIGTERM, -ESRCH },
		{ "all", -1, 0, 0 },
		{ "all", -1, SIGURG, 0 },
		{ "all", -1, 65, -EINVAL },
		{ "init", 1, 0, 0 },
		{ "init's group", -1000, 0, -ESRCH },
		{ "INT_MIN", INT_MIN, 0, -ESRCH },
		{ "INT_MIN", INT_MIN, 65, -ESRCH },
		{ "INT_MIN + 1", INT_MIN + 1, 0, -ESRCH },
		{ "INT_MAX", INT_MAX, 0, -ESRCH },
		{ "INT_MAX", INT_MAX, SIGKILL, -ESRCH },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		see(ops->kill(rows[i].pid, rows[i].sig), rows[i].expected,
		    "kill(%s, %d)", rows[i].what, rows[i].sig);
	see(reap(zombie), 7 << 8, "status of the zombie");
	see(finish(other), SIGKILL, "status of the child");
}

CASE(every_signal)
{
	int sig, status;
	pid_t pid;

	/* No core, whatever core_pattern says; see wait_test.c for those. */
	must(!prctl(PR_SET_DUMPABLE, 0));
	for (sig = 1; sig <= SIGNALS; sig++) {
		pid = spawn_doze(ops);
		see(ops->kill(pid, sig), 0, "kill(child, %d)", sig);
		if (ignored_by_default(sig)) {
			see(shared_pending(pid), 0, "pending after %d", sig);
			see(finish(pid), SIGKILL, "status after %d", sig);
			continue;
		}
		must(waitpid(pid, &status, WUNTRACED) == pid);
		if (stops_by_default(sig)) {
			see(status, 0x7f | sig << 8, "status after %d", sig);
			finish(pid);
		} else {
			see(status, sig, "status after %d", sig);
		}
	}
}

/* As a handler sees it, every one that there can be a handler for. */
CASE(every_signal_caught)
{
	unsigned int nr = 0;
	pid_t pid;
	int sig;

	record->word[0] = 0;
	pid = spawn(ops);
	if (!pid) {
		for (sig = 1; sig <= SIGNALS; sig++)
			if (sig != SIGKILL && sig != SIGSTOP && sig != 32 && sig != 33)
				catch_signal(sig, 0);
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);
	for (sig = 1; sig <= SIGNALS; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33)
			continue;
		see(ops->kill(pid, sig), 0, "kill(%d)", sig);
		until(record->catches == nr + 1);
		see_caught(nr++, pid, sig, SI_USER, getpid(), 0);
	}
	see(finish(pid), SIGKILL, "status");
}

/* What stays pending in a child that has set every signal to @handler. */
static void send_all(const struct ops *ops, bool block, __sighandler_t handler)
{
	const unsigned long stops = 1UL << (SIGTSTP - 1) | 1UL << (SIGTTIN - 1) |
				    1UL << (SIGTTOU - 1);
	const unsigned long cont = 1UL << (SIGCONT - 1);
	unsigned long sent = 0;
	pid_t pid;
	int sig;

	record->word[0] = 0;
	pid = spawn(ops);
	if (!pid) {
		if (block)
			block_all();
		for (sig = 1; sig <= SIGNALS; sig++)
			if (sig != SIGKILL && sig != SIGSTOP)
				set_handler(sig, handler);
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);

	for (sig = 1; sig <= SIGNALS; sig++) {
		if (sig == SIGKILL || sig == SIGSTOP)
			continue;
		see(ops->kill(pid, sig), 0, "kill(%d)", sig);
		sent |= 1UL << (sig - 1);
	}
	/* A stop takes a pending SIGCONT away, and the other way round. */
	see(shared_pending(pid), block ? sent & ~cont : 0, "pending of all");
	see(ops->kill(pid, SIGCONT), 0, "kill(SIGCONT)");
	see(shared_pending(pid), block ? sent & ~stops : 0, "pending after SIGCONT");
	see(ops->kill(pid, SIGSTOP), 0, "kill(SIGSTOP)");
	until(state_of(pid) == 'T');
	see(shared_pending(pid), block ? sent & ~stops & ~cont : 0,
	    "pending after SIGSTOP");
	see(finish(pid), SIGKILL, "status");
}

CASE(blocked)
{
	send_all(ops, true, SIG_DFL);
}

CASE(ignored)
{
	send_all(ops, false, SIG_IGN);
}

CASE(blocked_and_ignored)
{
	send_all(ops, true, SIG_IGN);
}

CASE(stop_and_continue)
{
	siginfo_t info;
	pid_t pid = spawn_doze(ops);

	see(ops->kill(pid, SIGSTOP), 0, "kill(SIGSTOP)");
	must(!waitid(P_PID, pid, &info, WSTOPPED));
	see(info.si_code, CLD_STOPPED, "si_code");
	see(info.si_status, SIGSTOP, "si_status");
	see(ops->kill(pid, SIGTERM), 0, "kill(SIGTERM) while stopped");
	see(state_of(pid), 'T', "state with SIGTERM pending");
	see(shared_pending(pid), 1 << (SIGTERM - 1), "pending while stopped");
	see(ops->kill(pid, SIGCONT), 0, "kill(SIGCONT)");
	see(reap(pid), SIGTERM, "status");

	pid = spawn_doze(ops);
	see(ops->kill(pid, SIGSTOP), 0, "kill(SIGSTOP)");
	must(!waitid(P_PID, pid, &info, WSTOPPED));
	see(ops->kill(pid, SIGCONT), 0, "kill(SIGCONT)");
	must(!waitid(P_PID, pid, &info, WCONTINUED));
	see(info.si_code, CLD_CONTINUED, "si_code");
	see(ops->kill(pid, SIGSTOP), 0, "kill(SIGSTOP)");
	must(!waitid(P_PID, pid, &info, WSTOPPED));
	see(ops->kill(pid, SIGKILL), 0, "kill(SIGKILL) while stopped");
	see(reap(pid), SIGKILL, "status");
}

CASE(self)
{
	struct timespec zero = {};
	siginfo_t info = {};
	sigset_t set;

	catch_signal(SIGUSR1, 0);
	see(ops->kill(getpid(), SIGUSR1), 0, "kill(self)");
	/* One thread alone takes its signal before the call returns. */
	see(record->catches, 1, "caught at once");
	see_caught(0, getpid(), SIGUSR1, SI_USER, getpid(), 0);
	see(ops->kill(0, SIGUSR1), 0, "kill(own group)");
	see(record->catches, 2, "caught at once");

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(!sigprocmask(SIG_BLOCK, &set, NULL));
	see(ops->kill(getpid(), SIGUSR1), 0, "kill(self), blocked");
	see(record->catches, 2, "caught while blocked");
	see(shared_pending(getpid()), 1 << (SIGUSR1 - 1), "pending");
	see(sigtimedwait(&set, &info, &zero), SIGUSR1, "sigtimedwait()");
	see(info.si_code, SI_USER, "si_code");
	see(info.si_pid, getpid(), "si_pid");
	see(info.si_uid, 0, "si_uid");
	see(info.si_errno, 0, "si_errno");
}

static void mask_signal(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	must(!pthread_sigmask(how, &set, NULL));
}

/*
 * A signal is for the process, whichever thread's id names it: the thread that
 * does not block it takes it, and where there is none it waits for one.
 */
CASE(threads)
{
	pid_t open, closed, named[3];
	unsigned int i;

	catch_signal(SIGUSR1, SA_RESTART);
	open = start_thread();
	mask_signal(SIG_BLOCK, SIGUSR1);
	closed = start_thread();
	named[0] = getpid();
	named[1] = open;
	named[2] = closed;

	for (i = 0; i < 3; i++) {
		see(ops->kill(named[i], SIGUSR1), 0, "kill(thread %u)", i);
		until(record->catches == i + 1);
		see_caught(i, open, SIGUSR1, SI_USER, getpid(), 0);
	}
}

static void *thread_kill(void *arg)
{
	const struct ops *ops = arg;

	see(ops->kill(getpid(), SIGUSR1), 0, "kill() by a thread");
	return NULL;
}

/* The sender is the process, whichever of its threads it was. */
CASE(thread_as_sender)
{
	pthread_t thread;

	catch_signal(SIGUSR1, SA_RESTART);
	mask_signal(SIG_BLOCK, SIGUSR1);
	must(!pthread_create(&thread, NULL, thread_kill, (void *)ops));
	must(!pthread_join(thread, NULL));
	mask_signal(SIG_UNBLOCK, SIGUSR1);
	see(record->catches, 1, "caught");
	see_caught(0, getpid(), SIGUSR1, SI_USER, getpid(), 0);
}

CASE(threads_that_block)
{
	pid_t thread;

	catch_signal(SIGUSR1, 0);
	mask_signal(SIG_BLOCK, SIGUSR1);
	thread = start_thread();
	see(ops->kill(thread, SIGUSR1), 0, "kill(thread)");
	see(shared_pending(thread), 1 << (SIGUSR1 - 1), "pending of the process");
	see(status_of(thread, "SigPnd", 16), 0, "pending of the thread");
	see(status_of(getpid(), "SigPnd", 16), 0, "pending of the leader");
	see(record->catches, 0, "caught while blocked");
	mask_signal(SIG_UNBLOCK, SIGUSR1);
	see(record->catches, 1, "caught when unblocked");
	see_caught(0, getpid(), SIGUSR1, SI_USER, getpid(), 0);
}

CASE(threads_die_together)
{
	pid_t pid;

	record->word[0] = 0;
	pid = spawn(ops);
	if (!pid) {
		mask_signal(SIG_BLOCK, SIGTERM);
		record->word[0] = start_thread();
		doze();
	}
	until(record->word[0]);
	see(ops->kill(record->word[0], SIGTERM), 0, "kill(thread, SIGTERM)");
	see(shared_pending(pid), 1 << (SIGTERM - 1), "pending");
	see(ops->kill(record->word[0], SIGUSR1), 0, "kill(thread, SIGUSR1)");
	see(reap(pid), SIGUSR1, "status of the process");
}

static void *thread_outlive(void *leader)
{
	mask_signal(SIG_UNBLOCK, SIGUSR1);
	until(state_of((long)leader) == 'Z');
	record->word[2] = syscall(__NR_gettid);
	doze();
	return NULL;
}

/* A leader that is gone still names the process, whose other thread lives. */
CASE(leader_gone)
{
	pid_t pid, thread;

	record->word[2] = 0;
	pid = spawn(ops);
	if (!pid) {
		pthread_t id;

		catch_signal(SIGUSR1, SA_RESTART);
		mask_signal(SIG_BLOCK, SIGUSR1);
		must(!pthread_create(&id, NULL, thread_outlive, (void *)(long)getpid()));
		syscall(__NR_exit, 0);
	}
	until(record->word[2]);
	thread = record->word[2];
	see(ops->kill(pid, 0), 0, "kill(leader, 0)");
	see(ops->kill(pid, SIGUSR1), 0, "kill(leader, SIGUSR1)");
	until(record->catches == 1);
	see_caught(0, thread, SIGUSR1, SI_USER, getpid(), 0);
	see(ops->kill(thread, SIGUSR1), 0, "kill(thread, SIGUSR1)");
	until(record->catches == 2);
	see_caught(1, thread, SIGUSR1, SI_USER, getpid(), 0);
	see(ops->kill(pid, SIGTERM), 0, "kill(leader, SIGTERM)");
	see(reap(pid), SIGTERM, "status of the process");
}

/* Of those in @mask each has caught one signal, of @sender. */
static void see_all_caught(long mask, int sig, pid_t sender, uid_t uid)
{
	unsigned int i;
	long seen = 0;

	for (i = 0; i < record->catches && i < ARRAY_SIZE(record->caught); i++) {
		struct caught *caught = &record->caught[i];

		seen += 1L << caught->by;
		see(caught->sig, sig, "catch: signal");
		see(caught->code, SI_USER, "catch: si_code");
		see(caught->pid, sender, "catch: si_pid");
		see(caught->uid, uid, "catch: si_uid");
	}
	see(seen, mask, "who caught it, once each");
}

CASE(group)
{
	pid_t first, second, outside;

	catch_signal(SIGUSR1, 0);
	first = spawn_catcher(ops, SIGUSR1);
	outside = spawn_catcher(ops, SIGUSR1);
	must(!setpgid(outside, outside));
	see(ops->kill(0, SIGUSR1), 0, "kill(own group)");
	until(record->catches >= 2);
	see_all_caught(1L << getpid() | 1L << first, SIGUSR1, getpid(), 0);

	second = spawn_catcher(ops, SIGUSR1);
	must(!setpgid(second, outside));
	forget_caught();
	see(ops->kill(-outside, SIGUSR1), 0, "kill(other group)");
	until(record->catches >= 2);
	see_all_caught(1L << outside | 1L << second, SIGUSR1, getpid(), 0);

	/* A group is there as long as a zombie is in it. */
	finish(outside);
	see(ops->kill(-outside, 0), 0, "kill(group without leader)");
	must(!kill(second, SIGKILL));
	await_zombie(second);
	see(ops->kill(-outside, SIGTERM), 0, "kill(group of a zombie)");
	reap(second);
	see(ops->kill(-outside, 0), -ESRCH, "kill(group of nobody)");
	finish(first);
}

/* One member that may be signalled makes it a success. */
CASE(group_permission)
{
	pid_t theirs, mine, other;

	theirs = spawn_doze(ops);
	must(!setpgid(theirs, theirs));
	see(kill_as(ops, NOBODY, -theirs, 0), -EPERM, "all of another user, 0");
	see(kill_as(ops, NOBODY, -theirs, SIGTERM), -EPERM, "all of another user");
	see(kill_as(ops, NOBODY, -theirs, 65), -EINVAL, "bad signal first");

	mine = spawn_blocker(ops, NOBODY, 100);
	must(!setpgid(mine, theirs));
	see(kill_as(ops, NOBODY, -theirs, 0), 0, "one of the own user, 0");
	see(kill_as(ops, NOBODY, -theirs, SIGTERM), 0, "one of the own user");
	see(shared_pending(mine), 1 << (SIGTERM - 1), "it has the signal");
	other = spawn_doze(ops);
	must(!setpgid(other, theirs));
	see(kill_as(ops, NOBODY, -theirs, SIGTERM), 0, "between two others");
	finish(mine);
	see(kill_as(ops, NOBODY, -theirs, SIGTERM), -EPERM, "without it again");
	see(finish(theirs), SIGKILL, "status of the first of the others");
	see(finish(other), SIGKILL, "status of the second of the others");
}

/* All but init and the caller, in a PID namespace below the case's. */
CASE(everyone)
{
	pid_t init = spawn_in(CLONE_NEWPID), caller;
	unsigned int i;

	if (init) {
		see(reap(init), 0, "status of init");
		return;
	}

	catch_signal(SIGUSR1, 0);
	see(ops->kill(-1, 0), -ESRCH, "init alone, 0");
	see(ops->kill(-1, SIGUSR1), -ESRCH, "init alone");
	see(ops->kill(-1, 65), -ESRCH, "init alone, bad signal");
	caller = spawn(ops);
	if (!caller) {
		see(ops->kill(-1, SIGUSR1), -ESRCH, "only init and the caller");
		_exit(0);
	}
	must(!reap(caller));

	spawn_catcher(ops, SIGUSR1);	/* 3 */
	spawn_catcher(ops, SIGUSR1);	/* 4 */
	record->word[0] = 0;
	if (!spawn(ops)) {		/* 5, of two threads: one signal */
		catch_signal(SIGUSR1, 0);
		start_thread();		/* 6 */
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);
	caller = spawn(ops);
	if (!caller) {			/* 7, of two threads as well */
		catch_signal(SIGUSR1, 0);
		start_thread();
		see(ops->kill(-1, 0), 0, "0");
		see(ops->kill(-1, SIGUSR1), 0, "signal");
		see(ops->kill(-1, 65), -EINVAL, "bad signal");
		_exit(0);
	}
	must(!reap(caller));
	until(record->catches >= 3);
	sleep_ms(50);
	/* Either thread of 5 may have been the one. */
	for (i = 0; i < record->catches; i++)
		if (record->caught[i].by == 6)
			record->caught[i].by = 5;
	see_all_caught(1L << 3 | 1L << 4 | 1L << 5, SIGUSR1, 7, 0);

	/* Nobody who may be signalled, but somebody there, is no error. */
	see(kill_as(ops, NOBODY, -1, 0), 0, "of another user, 0");
	see(kill_as(ops, NOBODY, -1, SIGKILL), 0, "of another user");
	see(kill_as(ops, NOBODY, -1, 65), -EINVAL, "of another user, bad signal");
	see(record->catches, 3, "signals caught");
	see(ops->kill(-1, SIGKILL), 0, "SIGKILL");
	see(reap(3), SIGKILL, "status of the first");
	see(reap(4), SIGKILL, "status of the second");
	see(reap(5), SIGKILL, "status of the third");
	_exit(0);
}

CASE(siginfo)
{
	pid_t target = spawn_blocker(ops, USER_A, 100), pid;

	see(ops->kill(target, SIGUSR1), 0, "by root");
	see(kill_as(ops, USER_A, target, SIGRTMIN + 1), 0, "by the user");
	see(kill_as(ops, USER_A, target, SIGRTMIN + 1), 0, "by the user again");
	see(ops->kill(target, SIGRTMIN + 1), 0, "by root");
	record->word[0] = 2;
	must(!reap(target));
	see(record->catches, 4, "signals");
	see_caught(0, target, SIGUSR1, SI_USER, getpid(), 0);
	see_caught(1, target, SIGRTMIN + 1, SI_USER, target + 1, USER_A);
	see_caught(2, target, SIGRTMIN + 1, SI_USER, target + 2, USER_A);
	see_caught(3, target, SIGRTMIN + 1, SI_USER, getpid(), 0);

	/* A sender outside of the PID namespace has no id in there. */
	forget_caught();
	record->word[0] = 0;
	pid = spawn_in(CLONE_NEWPID);
	if (!pid) {
		catch_signal(SIGUSR1, 0);
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);
	see(ops->kill(pid, SIGUSR1), 0, "into a PID namespace");
	until(record->catches == 1);
	see_caught(0, 1, SIGUSR1, SI_USER, 0, 0);
	finish(pid);

	/* Out of it goes only what is for a group; with the id of inside. */
	forget_caught();
	catch_signal(SIGUSR1, SA_RESTART);
	pid = spawn_in(CLONE_NEWPID);
	if (!pid) {
		signal(SIGUSR1, SIG_IGN);
		see(ops->kill(0, SIGUSR1), 0, "out of a PID namespace");
		_exit(0);
	}
	must(!reap(pid));
	see(record->catches, 1, "caught outside");
	see_caught(0, getpid(), SIGUSR1, SI_USER, 1, 0);

	/* A user who is not mapped is the overflow user. */
	forget_caught();
	record->word[0] = 0;
	pid = spawn_in(CLONE_NEWUSER);
	if (!pid) {
		catch_signal(SIGUSR1, 0);
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);
	see(ops->kill(pid, SIGUSR1), 0, "into a user namespace");
	until(record->catches == 1);
	see_caught(0, pid, SIGUSR1, SI_USER, getpid(), NOBODY);
	finish(pid);
}

/* Of a standard signal one is pending, of the real-time ones all, in order. */
CASE(queue)
{
	pid_t target = spawn_blocker(ops, 0, 100);
	unsigned int i;

	for (i = 0; i < 5; i++) {
		see(ops->kill(target, SIGRTMAX), 0, "kill(SIGRTMAX) %u", i);
		see(ops->kill(target, SIGUSR2), 0, "kill(SIGUSR2) %u", i);
		see(kill_as(ops, 0, target, SIGRTMIN + 2), 0, "kill(SIGRTMIN + 2) %u", i);
	}
	see(shared_pending(target), 1UL << (SIGUSR2 - 1) | 1UL << (SIGRTMIN + 1) |
	    1UL << (SIGRTMAX - 1), "pending");
	record->word[0] = 2;
	must(!reap(target));
	see(record->catches, 11, "signals delivered");
	see_caught(0, target, SIGUSR2, SI_USER, getpid(), 0);
	for (i = 0; i < 5; i++)
		see_caught(1 + i, target, SIGRTMIN + 2, SI_USER, target + 1 + i, 0);
	for (i = 0; i < 5; i++)
		see_caught(6 + i, target, SIGRTMAX, SI_USER, getpid(), 0);
}

/* Who can hold no more gets the signal without the information, not EAGAIN. */
static void fill_queue(const struct ops *ops, int limit)
{
	pid_t target = spawn_blocker(ops, USER_A, limit);
	pid_t sender = spawn(ops);
	unsigned int nr = 0;
	int i;

	forget_caught();
	if (!sender) {
		become(USER_A);
		for (i = 0; i < limit + 3; i++)
			see(ops->kill(target, SIGRTMIN + 1), 0, "kill() %d", i);
		see(ops->kill(target, SIGRTMIN + 2), 0, "another, no room");
		see(ops->kill(target, SIGRTMIN + 2), 0, "once more");
		/* A standard one takes its room beyond the limit. */
		see(ops->kill(target, SIGUSR1), 0, "a standard one");
		see(status_of(target, "SigQ", 10), limit + 1, "queued");
		_exit(0);
	}
	must(!reap(sender));
	see(shared_pending(target), 1UL << (SIGUSR1 - 1) | 1UL << SIGRTMIN |
	    1UL << (SIGRTMIN + 1), "pending");
	record->word[0] = 2;
	must(!reap(target));
	see_caught(nr++, target, SIGUSR1, SI_USER, sender, USER_A);
	for (i = 0; i < limit; i++)
		see_caught(nr++, target, SIGRTMIN + 1, SI_USER, sender, USER_A);
	if (!limit)
		see_caught(nr++, target, SIGRTMIN + 1, SI_USER, 0, 0);
	see_caught(nr++, target, SIGRTMIN + 2, SI_USER, 0, 0);
	see(record->catches, nr, "signals delivered");
}

CASE(queue_limit)
{
	fill_queue(ops, 5);
	fill_queue(ops, 1);
	fill_queue(ops, 0);
}

CASE(users)
{
	static const struct {
		uid_t sender[3];	/* real, effective, saved */
		uid_t target[3];
		int expected;
	} rows[] = {
		{ { USER_A, USER_A, USER_A }, { USER_A, USER_A, USER_A }, 0 },
		{ { USER_A, USER_A, USER_A }, { USER_B, USER_B, USER_B }, -EPERM },
		{ { USER_A, USER_A, USER_A }, { 0, 0, 0 }, -EPERM },
		/* the target's effective user does not count, the saved does */
		{ { USER_A, USER_A, USER_A }, { USER_B, USER_A, USER_B }, -EPERM },
		{ { USER_A, USER_A, USER_A }, { USER_B, USER_B, USER_A }, 0 },
		{ { USER_A, USER_A, USER_A }, { USER_A, 0, 0 }, 0 },
		/* the sender's real and effective count, the saved does not */
		{ { USER_A, USER_B, USER_B }, { USER_A, USER_A, USER_A }, 0 },
		{ { USER_B, USER_A, USER_B }, { USER_A, USER_A, USER_A }, 0 },
		{ { USER_B, USER_B, USER_A }, { USER_A, USER_A, USER_A }, -EPERM },
		{ { USER_A, USER_A, 0 }, { 0, 0, 0 }, -EPERM },
		/* root: by the capability, which goes with the effective user */
		{ { 0, 0, 0 }, { USER_A, USER_A, USER_A }, 0 },
		{ { USER_A, 0, USER_A }, { USER_B, USER_B, USER_B }, 0 },
		{ { 0, USER_A, 0 }, { USER_B, USER_B, USER_B }, -EPERM },
		{ { 0, USER_A, 0 }, { 0, 0, 0 }, 0 },
	};
	unsigned int i;
	pid_t target, sender;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const uid_t *s = rows[i].sender, *t = rows[i].target;

		record->word[0] = 0;
		target = spawn(ops);
		if (!target) {
			must(!setresuid(t[0], t[1], t[2]));
			record->word[0] = 1;
			doze();
		}
		until(record->word[0]);
		sender = spawn(ops);
		if (!sender) {
			must(!setresuid(s[0], s[1], s[2]));
			see(ops->kill(target, 0), rows[i].expected, "row %u, 0", i);
			see(ops->kill(target, SIGTERM), rows[i].expected,
			    "row %u, SIGTERM", i);
			_exit(0);
		}
		must(!reap(sender));
		/* Who may not be signalled has not been. */
		if (rows[i].expected)
			see(finish(target), SIGKILL, "row %u, status", i);
		else
			see(reap(target), SIGTERM, "row %u, status", i);
	}
}

/* Of the capabilities that the caller may have, have those of @mask alone. */
static void keep_capabilities(unsigned int mask)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];

	must(!syscall(__NR_capget, &header, data));
	data[0].permitted &= mask;
	data[0].effective = data[0].permitted;
	must(!syscall(__NR_capset, &header, data));
}

CASE(capability)
{
	pid_t target = spawn_doze(ops), other, sender;

	other = spawn_blocker(ops, USER_B, 100);
	sender = spawn(ops);
	if (!sender) {
		must(!prctl(PR_SET_KEEPCAPS, 1));
		become(USER_A);
		keep_capabilities(1 << CAP_KILL);
		see(ops->kill(target, 0), 0, "CAP_KILL over root");
		see(ops->kill(other, SIGURG), 0, "CAP_KILL over another");
		see(ops->kill(1, 0), 0, "CAP_KILL over init");
		keep_capabilities(0);
		see(ops->kill(target, 0), -EPERM, "no CAP_KILL over root");
		see(ops->kill(other, SIGURG), -EPERM, "no CAP_KILL over another");
		see(ops->kill(1, SIGTERM), -EPERM, "no CAP_KILL over init");
		see(ops->kill(1, 65), -EINVAL, "a bad signal comes first");
		see(ops->kill(1000, 0), -ESRCH, "nobody there");
		_exit(0);
	}
	must(!reap(sender));

	sender = spawn(ops);
	if (!sender) {
		keep_capabilities(~(1U << CAP_KILL));
		see(ops->kill(target, 0), 0, "root without CAP_KILL over root");
		see(ops->kill(other, 0), -EPERM, "root without CAP_KILL over another");
		_exit(0);
	}
	must(!reap(sender));
	finish(target);
	finish(other);
}

/* A capability holds below the user namespace it was got in. */
CASE(user_namespace)
{
	pid_t inside, outside = spawn_blocker(ops, USER_B, 100), sender;
	char path[64];

	sender = spawn(ops);
	if (!sender) {
		pid_t own;

		become(USER_A);
		own = spawn_catcher(ops, SIGUSR1);
		must(!prctl(PR_SET_DUMPABLE, 1));
		must(!unshare(CLONE_NEWUSER));
		snprintf(path, sizeof(path), "0 %d 1", USER_A);
		must(write_file("/proc/self/uid_map", path));
		see(ops->kill(outside, 0), -EPERM, "root in there over outside");
		see(ops->kill(getppid(), SIGTERM), -EPERM, "root in there over root");
		see(ops->kill(own, SIGUSR1), 0, "root in there over the own user");
		until(record->catches == 1);
		see_caught(0, own, SIGUSR1, SI_USER, getpid(), USER_A);
		_exit(0);
	}
	must(!reap(sender));

	/* The namespace's owner may signal everybody in it. */
	record->word[0] = 0;
	inside = spawn(ops);
	if (!inside) {
		become(USER_A);
		must(!unshare(CLONE_NEWUSER));
		record->word[0] = 1;
		until(record->word[0] == 2);
		must(!setresuid(0, 0, 0));
		record->word[0] = 3;
		doze();
	}
	until(record->word[0] == 1);
	snprintf(path, sizeof(path), "/proc/%d/uid_map", inside);
	must(write_file(path, "0 5000 1"));
	record->word[0] = 2;
	until(record->word[0] == 3);
	see(kill_as(ops, USER_A, inside, 0), 0, "the owner");
	see(kill_as(ops, USER_B, inside, 0), -EPERM, "another");
	see(kill_as(ops, 5000, inside, 0), 0, "who root is mapped to");
	finish(inside);
	finish(outside);
}

/* SIGCONT needs no permission within a session. */
CASE(sigcont_in_session)
{
	pid_t same, other;

	same = spawn_doze(ops);
	record->word[0] = 0;
	other = spawn(ops);
	if (!other) {
		must(setsid() > 0);
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);
	must(!kill(same, SIGSTOP));
	until(state_of(same) == 'T');
	must(!kill(other, SIGSTOP));
	until(state_of(other) == 'T');

	see(kill_as(ops, USER_A, same, 0), -EPERM, "0, same session");
	see(kill_as(ops, USER_A, same, SIGTERM), -EPERM, "SIGTERM, same session");
	see(kill_as(ops, USER_A, other, SIGCONT), -EPERM, "SIGCONT, other session");
	see(state_of(other), 'T', "state, other session");
	see(kill_as(ops, USER_A, same, SIGCONT), 0, "SIGCONT, same session");
	until(state_of(same) == 'S');
	see(finish(same), SIGKILL, "status, same session");
	see(finish(other), SIGKILL, "status, other session");
}

/* The init of a PID namespace gets from inside only what it asked for. */
CASE(init)
{
	static const int sigs[] = {
		0, SIGTERM, SIGKILL, SIGSTOP, SIGINT, SIGSEGV, SIGUSR1, 64
	};
	pid_t init, pid;
	unsigned int i;

	record->word[0] = 0;
	init = spawn_in(CLONE_NEWPID);
	if (!init) {
		catch_signal(SIGUSR1, SA_RESTART);
		pid = spawn(ops);
		if (!pid) {
			for (i = 0; i < ARRAY_SIZE(sigs); i++)
				see(ops->kill(1, sigs[i]), 0, "inside: kill(1, %d)", sigs[i]);
			_exit(0);
		}
		reap(pid);
		see(ops->kill(1, SIGKILL), 0, "to itself");
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);
	see(record->catches, 1, "caught by init");
	see_caught(0, 1, SIGUSR1, SI_USER, 2, 0);
	see(shared_pending(init), 0, "pending for init");
	see(ops->kill(init, SIGTERM), 0, "outside: SIGTERM");
	see(shared_pending(init), 0, "pending for init");
	see(ops->kill(init, SIGSTOP), 0, "outside: SIGSTOP");
	until(state_of(init) == 'T');
	see(ops->kill(init, SIGCONT), 0, "outside: SIGCONT");
	until(state_of(init) == 'S');
	see(ops->kill(init, SIGKILL), 0, "outside: SIGKILL");
	see(reap(init), SIGKILL, "status of init");
}

/* Who is on its way out can be signalled or is not there, nothing else. */
static void kill_leaving(const struct ops *ops, bool group)
{
	long end = now_ms() + 500, bad = 0, sent = 0, ret;
	pid_t pid;
	int i;

	/* Nobody waits: the children go away by themselves. */
	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < 499 && now_ms() < end; i++) {
		pid = spawn(ops);
		if (!pid)
			_exit(0);
		if (group)
			setpgid(pid, pid);
		do {
			ret = ops->kill(group ? -pid : pid, i % 2 ? 0 : SIGURG);
			sent += !ret;
			bad += ret && ret != -ESRCH;
		} while (!ret);
	}
	see(sent > 0, true, "some were there");
	see(bad, 0, "other answers");
	signal(SIGCHLD, SIG_DFL);
}

CASE(race_with_exit)
{
	const int children = 101;
	int i, status, bad = 0, exited = 0, killed = 0;
	pid_t pid;

	kill_leaving(ops, false);
	kill_leaving(ops, true);

	/* It ends by itself or by the signal, later and later. */
	for (i = 0; i < children; i++) {
		int fds[2];
		char byte;

		must(!pipe(fds));
		pid = spawn(ops);
		if (!pid)
			_exit(i % 100);
		close(fds[1]);
		/* All of the child's files are closed: it is about to be a zombie. */
		if (i % 3 == 1)
			must(!read(fds[0], &byte, 1));
		if (i % 3 == 2)
			await_zombie(pid);
		bad += !!ops->kill(pid, SIGTERM);
		must(waitpid(pid, &status, 0) == pid);
		exited += status == (i % 100) << 8;
		killed += status == SIGTERM;
		close(fds[0]);
	}
	see(bad, 0, "answers but 0, for a child that was not waited for");
	see(exited + killed, children, "ended in one way or the other");
	see(exited >= children / 3, true, "zombies keep their status");
}

static int exec_chain(int left);

static void *exec_next(void *left)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", *(int *)left);
	execl("/proc/self/exe", "kill_test", "exec-chain", text, NULL);
	return NULL;
}

/* A thread that is not the leader calls execve(), and so on. */
static int exec_chain(int left)
{
	pthread_t thread;

	if (!left--)
		return 0;
	if (pthread_create(&thread, NULL, exec_next, &left))
		return 1;
	doze();
	return 2;
}

/* The id of a process has no gap while a thread takes it over from the leader. */
CASE(race_with_exec)
{
	long bad = 0, sent = 0, ret;
	pid_t pid = spawn(ops);
	int status;

	if (!pid) {
		execl("/proc/self/exe", "kill_test", "exec-chain", "40", NULL);
		_exit(1);
	}
	while (!waitpid(pid, &status, WNOHANG)) {
		ret = ops->kill(pid, sent % 2 ? 0 : SIGURG);
		sent++;
		bad += !!ret;
	}
	see(status, 0, "status of the chain");
	see(sent > 40, true, "signals sent");
	see(bad, 0, "answers but 0");
}

/* What the caller itself gets is delivered before the call returns. */
CASE(tracepoint_self)
{
	static const char *const events[] = {
		"signal/signal_generate", "signal/signal_deliver", NULL
	};
	static struct trace trace;
	const char *at = trace.text, *args;

	catch_signal(SIGUSR1, SA_RESTART);
	trace_start(&trace, events);
	see(ops->kill(getpid(), SIGUSR1), 0, "kill(self)");
	trace_stop(&trace);

	args = trace_next(&at, "signal_generate: ");
	must(args);
	see(trace_field(args, "sig="), SIGUSR1, "signal_generate: sig");
	see(trace_field(args, "code="), SI_USER, "signal_generate: code");
	see(trace_field(args, " pid=") == outer_pid(), true, "signal_generate: pid");
	see(trace_field(args, "res="), 0, "signal_generate: res");
	args = trace_next(&at, "signal_deliver: ");
	must(args);
	see(trace_field(args, "sig="), SIGUSR1, "signal_deliver: sig");
	see(trace_field(args, "errno="), 0, "signal_deliver: errno");
	see(trace_field(args, "code="), SI_USER, "signal_deliver: code");
	see(!trace_next(&at, "signal_"), true, "no more of them");
}

CASE(tracepoint)
{
	static const char *const events[] = { "signal/signal_generate", NULL };
	enum { DELIVERED, IGNORED, PENDING, OVERFLOW_FAIL, LOSE_INFO };
	static struct trace trace;
	pid_t target = spawn_blocker(ops, USER_A, 1);
	int outer = record->word[1];
	pid_t thread = start_thread();
	int outer_thread = record->word[3], self = outer_pid();
	const struct {
		pid_t pid;
		int outer;	/* in the namespace of the trace */
		int sig;
		int ret;
		int result;	/* -1: nothing is to be generated */
	} rows[] = {
		{ target, 0, 0, 0, -1 },
		{ target, 0, 65, -EINVAL, -1 },
		{ INT_MAX, 0, SIGUSR1, -ESRCH, -1 },
		{ target, outer, SIGRTMIN + 1, 0, DELIVERED },
		{ target, outer, SIGRTMIN + 1, 0, LOSE_INFO },
		{ target, outer, SIGUSR1, 0, DELIVERED },
		{ target, outer, SIGUSR1, 0, PENDING },
		{ -1, outer, SIGUSR2, 0, DELIVERED },
		{ getpid(), self, SIGURG, 0, IGNORED },
		{ thread, outer_thread, SIGURG, 0, IGNORED },
		{ 0, self, SIGURG, 0, IGNORED },
		{ -target, outer, SIGHUP, 0, DELIVERED },
		{ target, outer, SIGCONT, 0, DELIVERED },
	};
	const char *at = trace.text, *args;
	unsigned int i;

	must(!setpgid(target, target));
	trace_start(&trace, events);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		see(ops->kill(rows[i].pid, rows[i].sig), rows[i].ret, "row %u", i);
	trace_stop(&trace);

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].result < 0)
			continue;
		args = trace_next(&at, "signal_generate: ");
		must(args);
		see(trace_field(args, "sig="), rows[i].sig, "row %u: sig", i);
		see(trace_field(args, "errno="), 0, "row %u: errno", i);
		see(trace_field(args, "code="), SI_USER, "row %u: code", i);
		see(trace_field(args, " pid=") == rows[i].outer, true,
		    "row %u: pid is the target's", i);
		see(trace_field(args, "grp="), 1, "row %u: grp", i);
		see(trace_field(args, "res="), rows[i].result, "row %u: res", i);
	}
	see(!trace_next(&at, "signal_generate: "), true, "no more of them");
	finish(target);
}

#ifdef __x86_64__
TEST(x32)
{
	const char *error = x32_error(KILL, __NR_ft_kill);

	if (!error)
		SKIP(return, "this kernel has x32");
	EXPECT_STREQ("ENOSYS", error);
}
#endif

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "exec-chain"))
		return exec_chain(atoi(argv[2]));
	return run_cases(argc, argv);
}
