// SPDX-License-Identifier: GPL-2.0
/* ft_fork() must do what fork() does: see ft_calls.h. */
#include "ft_calls.h"

#include <sys/sysinfo.h>

#define USER		4711

CASE(child)
{
	int to_child[2], from_child[2], status;
	pid_t me = getpid(), pid;
	char byte = 'x';

	must(!pipe(to_child) && !pipe(from_child));
	catch_signal(SIGCHLD, SA_RESTART);
	pid = spawn(ops);
	if (!pid) {
		see(getpid(), me + 1, "getpid() of the child");
		see(syscall(__NR_gettid), me + 1, "gettid() of the child");
		see(getppid(), me, "getppid() of the child");
		see(getpgid(0), me, "group of the child");
		see(getsid(0), getsid(me), "session of the child");
		see(status_of(getpid(), "Threads", 10), 1, "threads of the child");
		/* Both run: a parent that waited would never answer. */
		must(write(from_child[1], &byte, 1) == 1);
		must(read(to_child[0], &byte, 1) == 1);
		_exit(23);
	}
	must(read(from_child[0], &byte, 1) == 1);
	see(pid, me + 1, "returned to the parent");
	must(write(to_child[1], &byte, 1) == 1);
	until(record->catches == 1);
	see_caught(0, me, SIGCHLD, CLD_EXITED, pid, 0);
	see(record->caught[0].status, 23, "si_status");
	must(wait(&status) == pid);
	see(status, 23 << 8, "status");
}

CASE(memory)
{
	const size_t page = sysconf(_SC_PAGESIZE), size = 64 * page;
	int prot = PROT_READ | PROT_WRITE;
	char *own, *shared, *absent, *wiped;
	unsigned char core;
	size_t i;
	pid_t pid;

	own = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, size, prot, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	absent = mmap(NULL, page, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	wiped = mmap(NULL, page, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(own != MAP_FAILED && shared != MAP_FAILED);
	must(absent != MAP_FAILED && wiped != MAP_FAILED);
	for (i = 0; i < size; i += page)
		own[i] = 'p';
	*wiped = 'w';
	must(!madvise(absent, page, MADV_DONTFORK));
	must(!madvise(wiped, page, MADV_WIPEONFORK));

	record->word[0] = 0;
	pid = spawn(ops);
	if (!pid) {
		long same = 0;

		until(record->word[0] == 1);
		for (i = 0; i < size; i += page)
			same += own[i] == 'p';
		see(same, size / page, "pages as they were for the child");
		memset(own, 'c', size);
		*shared = 'c';
		see(raw(mincore(absent, page, &core)), -ENOMEM, "MADV_DONTFORK");
		see(*wiped, 0, "MADV_WIPEONFORK");
		_exit(0);
	}
	/* After the fork: for the parent alone. */
	for (i = page; i < size; i += 2 * page)
		own[i] = 'P';
	record->word[0] = 1;
	see(reap(pid), 0, "status");
	see(own[0], 'p', "what the parent did not change");
	see(own[page], 'P', "what the parent changed");
	see(*shared, 'c', "shared memory");
	see(*wiped, 'w', "MADV_WIPEONFORK in the parent");
}

CASE(files)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char name[] = "/tmp/fork_test.XXXXXX";
	int fd = mkstemp(name), cloexec;
	pid_t pid;

	must(fd >= 0 && !unlink(name));
	must(write(fd, "0123456789", 10) == 10);
	must(!fcntl(fd, F_SETLK, &lock));
	cloexec = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	must(cloexec >= 100);
	pid = spawn(ops);
	if (!pid) {
		see(lseek(fd, 0, SEEK_CUR), 10, "offset of the child");
		see(lseek(fd, 3, SEEK_SET), 3, "lseek() of the child");
		see(fcntl(cloexec, F_GETFD), FD_CLOEXEC, "a descriptor to close on exec");
		lock.l_type = F_WRLCK;
		must(!fcntl(fd, F_GETLK, &lock));
		see(lock.l_type, F_WRLCK, "the parent's lock is not the child's");
		see(lock.l_pid, getppid(), "its owner");
		must(!close(fd));
		must(open("/", O_RDONLY) == fd);
		_exit(0);
	}
	must(!reap(pid));
	see(lseek(fd, 0, SEEK_CUR), 3, "offset of the parent");
	see(fcntl(fd, F_GETFD), 0, "open in the parent");
}

CASE(signals)
{
	struct itimerval timer = { .it_value.tv_sec = 1000 }, left;
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	long usr2 = 1 << (SIGUSR2 - 1), usr1 = 1 << (SIGUSR1 - 1);
	static char stack[16384];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) }, now;
	struct sigaction action;
	timer_t posix;
	pid_t pid;
	sigset_t set;

	signal(SIGHUP, SIG_IGN);
	catch_signal(SIGTERM, SA_RESTART);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	must(!sigprocmask(SIG_BLOCK, &set, NULL));
	must(!kill(getpid(), SIGUSR1));
	must(!syscall(__NR_tgkill, getpid(), getpid(), SIGUSR2));
	must(!sigaltstack(&alternate, NULL));
	must(!setitimer(ITIMER_REAL, &timer, NULL));
	must(!setitimer(ITIMER_VIRTUAL, &timer, NULL));
	must(!setitimer(ITIMER_PROF, &timer, NULL));
	must(!syscall(__NR_timer_create, CLOCK_MONOTONIC, &event, &posix));

	pid = spawn(ops);
	if (!pid) {
		pid = getpid();
		see(shared_pending(pid), 0, "pending for the process");
		see(status_of(pid, "SigPnd", 16), 0, "pending for the thread");
		see(status_of(pid, "SigBlk", 16), usr1 | usr2, "blocked");
		must(!sigaction(SIGHUP, NULL, &action));
		see(action.sa_handler == SIG_IGN, true, "ignored");
		must(!sigaction(SIGTERM, NULL, &action));
		see(action.sa_sigaction == catcher, true, "handler");
		see(action.sa_flags & (SA_SIGINFO | SA_RESTART), SA_SIGINFO | SA_RESTART,
		    "flags of the handler");
		must(!sigaltstack(NULL, &now));
		see(now.ss_sp == stack, true, "alternate stack");
		must(!getitimer(ITIMER_REAL, &left));
		see(left.it_value.tv_sec, 0, "ITIMER_REAL");
		must(!getitimer(ITIMER_VIRTUAL, &left));
		see(left.it_value.tv_sec, 0, "ITIMER_VIRTUAL");
		must(!getitimer(ITIMER_PROF, &left));
		see(left.it_value.tv_sec, 0, "ITIMER_PROF");
		see(raw(syscall(__NR_timer_getoverrun, posix)), -EINVAL, "POSIX timer");
		_exit(0);
	}
	must(!reap(pid));
	see(shared_pending(getpid()), usr1, "pending for the parent");
	see(status_of(getpid(), "SigPnd", 16), usr2, "pending for its thread");
	must(!getitimer(ITIMER_REAL, &left));
	see(left.it_value.tv_sec > 900, true, "ITIMER_REAL of the parent");
}

/* What else a child takes over, and what not. */
CASE(attributes)
{
	struct rlimit files = { 123, 456 }, limit;
	struct rusage usage;
	char name[16] = "", where[64];
	int value;
	pid_t pid;

	must(!setrlimit(RLIMIT_NOFILE, &files));
	must(nice(5) == 5);
	umask(0135);
	must(!chdir("/proc"));
	must(!prctl(PR_SET_NAME, "forker"));
	must(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	must(!prctl(PR_SET_PDEATHSIG, SIGHUP));
	must(!prctl(PR_SET_TIMERSLACK, 77777));
	must(write_file("/proc/self/oom_score_adj", "321"));
	spawn_exit(ops, 0);
	must(wait(NULL) > 0);

	pid = spawn(ops);
	if (!pid) {
		must(!setresuid(USER, 0, USER));
		see(umask(0), 0135, "umask");
		see(getpriority(PRIO_PROCESS, 0), 5, "nice");
		must(!getrlimit(RLIMIT_NOFILE, &limit));
		see(limit.rlim_cur, 123, "soft limit");
		see(limit.rlim_max, 456, "hard limit");
		must(getcwd(where, sizeof(where)));
		see(strcmp(where, "/proc"), 0, "working directory");
		must(!prctl(PR_GET_NAME, name));
		see(strcmp(name, "forker"), 0, "name");
		must(!prctl(PR_GET_CHILD_SUBREAPER, &value));
		see(value, 0, "PR_GET_CHILD_SUBREAPER");
		must(!prctl(PR_GET_PDEATHSIG, &value));
		see(value, 0, "PR_GET_PDEATHSIG");
		see(prctl(PR_GET_TIMERSLACK), 77777, "PR_GET_TIMERSLACK");
		must(read_file("/proc/self/oom_score_adj", where, sizeof(where)));
		see(atoi(where), 321, "oom_score_adj");
		must(!getrusage(RUSAGE_CHILDREN, &usage));
		see(usage.ru_minflt, 0, "faults of children");
		must(!getrusage(RUSAGE_SELF, &usage));
		see(usage.ru_utime.tv_sec, 0, "CPU seconds");
		must(!chdir("/"));
		_exit(0);
	}
	see(reap(pid), 0, "status");
	see(getuid(), 0, "user of the parent");
	see(umask(0), 0135, "umask of the parent");
	must(getcwd(where, sizeof(where)));
	see(strcmp(where, "/proc"), 0, "working directory of the parent");
}

/* A child that stays, or an error. */
static pid_t fork_doze(const struct ops *ops)
{
	pid_t pid = ops->fork();

	if (!pid)
		doze();
	return pid;
}

/* RLIMIT_NPROC counts the processes of a user without privileges. */
CASE(process_limit)
{
	struct rlimit limit = { 3, 3 };
	pid_t pid = fork(), first;

	must(pid >= 0);
	if (pid) {
		see(reap(pid), 0, "status");
		return;
	}
	must(!setrlimit(RLIMIT_NPROC, &limit));
	/* Root is above it. */
	for (pid = 0; pid < 5; pid++)
		see(spawn_exit(ops, 0) > 0, true, "as root");
	for (pid = 0; pid < 5; pid++)
		wait(NULL);

	become(USER);
	first = fork_doze(ops);
	see(first > 0, true, "the second process");
	see(fork_doze(ops) > 0, true, "the third");
	see(ops->fork(), -EAGAIN, "the fourth");
	see(ops->fork(), -EAGAIN, "the fourth again");
	must(!kill(first, SIGKILL));
	await_zombie(first);
	see(ops->fork(), -EAGAIN, "a zombie counts");
	reap(first);
	see(fork_doze(ops) > 0, true, "one is gone");
	_exit(0);
}

CASE(cgroup_limit)
{
	struct cgroup cgroup;
	pid_t pid;

	cgroup_make(&cgroup);
	must(cgroup_write(&cgroup, "pids.max", "3"));
	pid = fork();
	must(pid >= 0);
	if (!pid) {
		int i;

		must(cgroup_write(&cgroup, "cgroup.procs", "0"));
		for (i = 0; i < 2; i++)
			spawn_doze(ops);
		see(ops->fork(), -EAGAIN, "the fourth");
		see(ops->fork(), -EAGAIN, "the fourth again");
		see(cgroup_read(&cgroup, "pids.current", ""), 3, "pids.current");
		see(cgroup_read(&cgroup, "pids.events", "max "), 2, "events");
		must(cgroup_write(&cgroup, "pids.max", "4"));
		see(spawn_exit(ops, 5) > 0, true, "with a higher limit");
		_exit(0);
	}
	must(!reap(pid));
	must(cgroup_write(&cgroup, "cgroup.kill", "1"));
	cgroup_drop(&cgroup);
}

/*
 * A storm of forks in a memory cgroup: children are killed for want of memory,
 * and forks may fail of it, but nothing hangs and nobody is lost. The forker
 * itself is not to be killed.
 */
static void storm(const struct ops *ops, struct cgroup *cgroup)
{
	int forks = 0, failed = 0, killed = 0, status, ret, i;
	pid_t child, children[61];

	must(write_file("/proc/self/oom_score_adj", "-1000"));
	must(cgroup_write(cgroup, "cgroup.procs", "0"));
	while (forks + failed < (int)ARRAY_SIZE(children)) {
		child = ops->fork();
		if (!child) {
			must(write_file("/proc/self/oom_score_adj", "1000"));
			mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			     MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
			doze();
		}
		if (child > 0) {
			children[forks++] = child;
			continue;
		}
		failed++;
		if (child != -ENOMEM && child != -EAGAIN)
			see(child, -ENOMEM, "an error of a fork");
	}
	see(cgroup_read(cgroup, "memory.events", "oom_kill ") > 0, true, "oom_kill");
	see(forks > 12, true, "more than fit");

	/* Whoever is left goes now; each child is waited for once. */
	for (i = 0; i < forks; i++)
		must(!kill(children[i], SIGKILL));
	while ((ret = ops->wait(&status)) > 0)
		killed += status == SIGKILL;
	see(ret, -ECHILD, "after the last");
	see(killed == forks, true, "children, all killed");
	must(write_file("/proc/self/oom_score_adj", "0"));
	see(spawn_exit(ops, 3) > 0, true, "the next fork");
	see(ops->wait(&status) > 0, true, "the next wait");
	see(status, 3 << 8, "its status");
}

CASE(cgroup_memory)
{
	struct cgroup cgroup;
	pid_t pid;

	cgroup_make(&cgroup);
	must(cgroup_write(&cgroup, "memory.max", "12M"));
	pid = fork();
	must(pid >= 0);
	if (!pid) {
		storm(ops, &cgroup);
		_exit(0);
	}
	see(reap(pid), 0, "status of the forker");
	cgroup_drop(&cgroup);
}

/*
 * A mapping that is more than the memory and was not made at once: the child's
 * whole copy of it is refused.
 */
CASE(memory_limit)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct sysinfo memory;
	char text[16], *low;
	size_t half;

	must(read_file("/proc/sys/vm/overcommit_memory", text, sizeof(text)));
	must(atoi(text) == 0);
	must(!sysinfo(&memory));
	half = (memory.totalram + memory.totalswap) * memory.mem_unit;
	half = half / 10 * 6 & -(2UL << 20);
	low = mmap(NULL, 2 * half, PROT_NONE, flags | MAP_NORESERVE, -1, 0);
	must(low != MAP_FAILED);
	must(mmap(low, half, prot, flags | MAP_FIXED, -1, 0) == low);
	see(spawn_exit(ops, 1) > 0, true, "with half of it");
	must(wait(NULL) > 0);
	must(mmap(low + half, half, prot, flags | MAP_FIXED, -1, 0) == low + half);
	see(ops->fork(), -ENOMEM, "with all of it");
	see(ops->wait(NULL), -ECHILD, "nobody was made");
	must(!madvise(low + half, half, MADV_DONTFORK));
	see(spawn_exit(ops, 1) > 0, true, "with all of it, half not for the child");
	must(wait(NULL) > 0);
}

struct deadline {
	unsigned int size;
	unsigned int policy;
	unsigned long long flags;
	int nice;
	unsigned int priority;
	unsigned long long runtime, deadline, period;
};

/* Who has a deadline may not double it. */
CASE(deadline)
{
	const unsigned int policy = 6, reset_on_fork = 1;
	struct deadline deadline = {
		.size = sizeof(deadline),
		.policy = policy,
		.runtime = 50000000,
		.deadline = 100000000,
		.period = 100000000,
	};
	pid_t pid;

	must(!syscall(__NR_sched_setattr, 0, &deadline, 0));
	see(ops->fork(), -EAGAIN, "SCHED_DEADLINE");
	deadline.flags = reset_on_fork;
	must(!syscall(__NR_sched_setattr, 0, &deadline, 0));
	pid = spawn(ops);
	if (!pid) {
		see(sched_getscheduler(0), SCHED_OTHER, "policy of the child");
		_exit(0);
	}
	see(reap(pid), 0, "status");
	see(sched_getscheduler(0) & ~0x40000000, policy, "policy of the parent");
}

/* A tracer is told of the fork, and has the child traced. */
static void trace_fork(const struct ops *ops, long options, bool seize)
{
	bool wanted = options & PTRACE_O_TRACEFORK;
	unsigned long message = 0;
	pid_t pid, child = 0;
	int status;

	record->word[0] = 0;
	record->word[1] = 0;
	pid = spawn(ops);
	if (!pid) {
		until(record->word[0]);
		child = spawn_exit(ops, 9);
		record->word[1] = child;
		_exit(!(reap(child) == 9 << 8));
	}
	if (seize) {
		must(!ptrace(PTRACE_SEIZE, pid, 0, options));
	} else {
		must(!ptrace(PTRACE_ATTACH, pid, 0, 0));
		must(waitpid(pid, &status, __WALL) == pid);
		must(!ptrace(PTRACE_SETOPTIONS, pid, 0, options));
		must(!ptrace(PTRACE_CONT, pid, 0, 0));
	}
	record->word[0] = 1;

	if (wanted) {
		/* The child's first stop and the event come in either order. */
		must(waitpid(pid, &status, __WALL) == pid);
		see(status >> 8, SIGTRAP | PTRACE_EVENT_FORK << 8, "event");
		must(!ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
		child = message;
		see(child, pid + 1, "message");
		must(waitpid(child, &status, __WALL) == child);
		see(status >> 8, seize ? SIGTRAP | PTRACE_EVENT_STOP << 8 : SIGSTOP,
		    "first stop of the child");
		see(status_of(child, "TracerPid", 10), getpid(), "tracer of the child");
		see(status_of(child, "PPid", 10), pid, "parent of the child");
		see(record->word[1], 0, "has returned in the parent");
		must(!ptrace(PTRACE_CONT, pid, 0, 0));
		must(!ptrace(PTRACE_CONT, child, 0, 0));
		must(waitpid(child, &status, __WALL) == child);
		see(status, 9 << 8, "end of the child, for the tracer");
	}
	/* SIGCHLD of the child, as a stop of the tracee. */
	must(waitpid(pid, &status, __WALL) == pid);
	see(status, SIGCHLD << 8 | 0x7f, "stop for SIGCHLD");
	must(!ptrace(PTRACE_CONT, pid, 0, 0));
	see(reap(pid), 0, "status");
	see(record->word[1], pid + 1, "returned in the parent");
}

CASE(ptrace_event)
{
	trace_fork(ops, PTRACE_O_TRACEFORK, false);
}

CASE(ptrace_event_seized)
{
	trace_fork(ops, PTRACE_O_TRACEFORK, true);
}

CASE(ptrace_no_event)
{
	trace_fork(ops, 0, false);
	trace_fork(ops, PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK, true);
}

static void *thread_fork(void *arg)
{
	const long usr1 = 1 << (SIGUSR1 - 1);
	const struct ops *ops = arg;
	char name[16] = "";
	sigset_t set;
	pid_t pid;

	/* What is a thread's own the child has of the thread that made it. */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	must(!pthread_sigmask(SIG_BLOCK, &set, NULL));
	must(!syscall(__NR_tgkill, getpid(), syscall(__NR_gettid), SIGUSR1));
	must(!prctl(PR_SET_NAME, "forking thread"));
	must(!setpriority(PRIO_PROCESS, syscall(__NR_gettid), 7));
	pid = ops->fork();
	if (!pid) {
		see(status_of(getpid(), "Threads", 10), 1, "threads of the child");
		see(getppid(), 2, "parent of the child");
		see(syscall(__NR_gettid) == getpid(), true, "the child leads itself");
		see(status_of(getpid(), "SigBlk", 16), usr1, "blocked");
		see(status_of(getpid(), "SigPnd", 16), 0, "pending");
		must(!prctl(PR_GET_NAME, name));
		see(strcmp(name, "forking thread"), 0, "name");
		see(getpriority(PRIO_PROCESS, 0), 7, "nice");
		_exit(6);
	}
	must(pid > 0);
	await_zombie(pid);
	see(status_of(syscall(__NR_gettid), "SigPnd", 16), usr1, "pending for the thread");
	see(status_of(getpid(), "Threads", 10), 2, "threads of the parent");
	record->word[0] = pid;
	return NULL;
}

/* A child is the process's, whichever thread made it. */
CASE(thread)
{
	pthread_t thread;
	int status;

	must(!pthread_create(&thread, NULL, thread_fork, (void *)ops));
	must(!pthread_join(thread, NULL));
	must(waitpid(record->word[0], &status, 0) == record->word[0]);
	see(status, 6 << 8, "status");
	see(record->word[0], getpid() + 2, "returned to the thread");
	see(status_of(getpid(), "SigBlk", 16), 0, "blocked by the leader");
}

CASE(pid_namespace)
{
	pid_t init, pid;

	pid = fork();
	must(pid >= 0);
	if (pid) {
		see(reap(pid), 0, "status");
		return;
	}
	must(!unshare(CLONE_NEWPID));
	init = spawn(ops);
	if (!init) {
		see(getpid(), 1, "getpid() of init");
		see(getppid(), 0, "getppid() of init");
		pid = spawn(ops);
		if (!pid) {
			see(getpid(), 2, "getpid() of init's child");
			see(getppid(), 1, "getppid() of init's child");
			_exit(0);
		}
		must(!reap(pid));
		see(pid, 2, "returned to init");
		record->word[0] = 1;
		doze();
	}
	until(record->word[0]);
	see(init, getpid() + 1, "init as its parent knows it");
	pid = spawn(ops);
	if (!pid) {
		see(getpid(), 3, "getpid() of one beside init");
		see(getppid(), 0, "getppid() of one beside init");
		_exit(0);
	}
	must(!reap(pid));
	see(pid, init + 2, "one beside init as its parent knows it");
	finish(init);
	see(ops->fork(), -ENOMEM, "without init");
	see(ops->fork(), -ENOMEM, "without init, again");
	_exit(0);
}

/*
 * Each the parent of the next; the status of the last is passed up to the first.
 * What a fork costs grows with how often the memory was forked before: from
 * time to time the program starts anew, or a thousand levels take minutes.
 */
static int descend(const struct ops *ops, int left)
{
	char text[16];
	int status;
	pid_t pid;

	do {
		pid = ops->fork();
		if (pid < 0)
			return 1;
		if (pid)
			return ops->wait(&status) == pid && WIFEXITED(status) ?
			       WEXITSTATUS(status) : 2;
	} while (--left % 40);

	if (!left)
		return 77;
	snprintf(text, sizeof(text), "%d", left);
	execl("/proc/self/exe", "fork_test", ops == &ft_ops ? "ft" : "native", text, NULL);
	return 3;
}

CASE(chain)
{
	pid_t me = getpid(), pid = fork();

	must(pid >= 0);
	if (!pid)
		_exit(descend(ops, 1000));
	see(reap(pid), 77 << 8, "status of the last");
	see(spawn_exit(ops, 0), me + 1002, "the next child");
}

/* A signal that comes first has the call made again, whatever SA_RESTART says. */
static void signal_first(const struct ops *ops, int flags, bool take)
{
	pid_t tracee, pid;
	int status;

	forget_caught();
	tracee = spawn(ops);
	if (!tracee) {
		catch_signal(SIGUSR1, flags);
		must(!ptrace(PTRACE_TRACEME, 0, 0, 0));
		must(!kill(getpid(), SIGSTOP));
		pid = ops->fork();
		if (!pid)
			_exit(31);
		see(pid, getpid() + 1, "returned");
		see(raw(waitpid(pid, &status, 0)), pid, "waited for");
		see(status, 31 << 8, "status of the child");
		_exit(0);
	}
	must(waitpid(tracee, &status, 0) == tracee && WIFSTOPPED(status));
	see(result_after_signal(tracee), -ERESTARTNOINTR, "returned within the kernel");
	release_to_signal(tracee, take);
	see(reap(tracee), 0, "status");
	see(record->catches, take, "caught");
	if (take)
		see_caught(0, tracee, SIGUSR1, SI_USER, getpid(), 0);
}

CASE(restart)
{
	signal_first(ops, 0, true);
	signal_first(ops, SA_RESTART, true);
	signal_first(ops, 0, false);
}

static void do_nothing(int sig)
{
	record->word[0]++;
}

/* And again and again, if it has to be. */
CASE(restart_often)
{
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = {};
	struct sigaction action = { .sa_handler = do_nothing };
	int i, failed = 0;
	pid_t pid;

	must(!sigaction(SIGALRM, &action, NULL));
	must(!setitimer(ITIMER_REAL, &often, NULL));
	for (i = 0; i < 101; i++) {
		pid = ops->fork();
		if (!pid)
			_exit(0);
		failed += pid < 0;
		while (pid > 0 && waitpid(pid, NULL, 0) < 0)
			;
	}
	must(!setitimer(ITIMER_REAL, &never, NULL));
	see(failed, 0, "failed");
	see(record->word[0] > 0, true, "signals");
}

CASE(exit_signal)
{
	pid_t pid = spawn_doze(ops);

	see(exit_signal_of(pid), SIGCHLD, "exit signal");
	finish(pid);
}

CASE(tracepoint)
{
	static const char *const events[] = {
		"sched/sched_process_fork", "sched/sched_wakeup_new",
		"task/task_newtask", NULL
	};
	static struct trace trace;
	struct rlimit limit = { 0, 0 };
	const char *at, *args;
	int outer[3], i;

	trace_start(&trace, events);
	for (i = 0; i < 3; i++) {
		if (!spawn(ops)) {
			record->word[0] = outer_pid();
			_exit(0);
		}
		must(wait(NULL) > 0);
		outer[i] = record->word[0];
	}
	/* One that fails is no event. */
	must(!setrlimit(RLIMIT_NPROC, &limit));
	must(!setresuid(USER, USER, 0));
	see(ops->fork(), -EAGAIN, "at the limit");
	must(!setresuid(0, 0, 0));
	trace_stop(&trace);

	at = trace.text;
	for (i = 0; i < 3; i++) {
		args = trace_next(&at, "task_newtask: ");
		must(args);
		see(trace_field(args, "pid=") == outer[i], true, "task_newtask: pid");
		see(trace_field(args, "clone_flags="), 0, "task_newtask: clone_flags");
		see(trace_field(args, "oom_score_adj="), SAME, "task_newtask: oom_score_adj");
		args = trace_next(&at, "sched_process_fork: ");
		must(args);
		see(trace_field(args, " pid=") == outer_pid(), true,
		    "sched_process_fork: parent");
		see(trace_field(args, "child_pid=") == outer[i], true,
		    "sched_process_fork: child");
		args = trace_next(&at, "sched_wakeup_new: ");
		must(args);
		see(trace_field(args, " pid=") == outer[i], true, "sched_wakeup_new: pid");
		see(trace_field(args, "prio="), SAME, "sched_wakeup_new: prio");
	}
	see(!trace_next(&at, "task_newtask: "), true, "no more of them");
	at = trace.text;
	for (i = 0; trace_next(&at, "sched_process_fork: "); i++)
		;
	see(i, 3, "forks");
}

#ifdef __x86_64__
TEST(x32)
{
	const char *error = x32_error(FORK, __NR_ft_fork);

	if (!error)
		SKIP(return, "this kernel has x32");
	EXPECT_STREQ("ENOSYS", error);
}
#endif

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "native"))
		return descend(&native_ops, atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "ft"))
		return descend(&ft_ops, atoi(argv[2]));
	return run_cases(argc, argv);
}
