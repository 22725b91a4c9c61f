// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info(): who is meant, by an id of a process or a thread, by a pidfd, and
 * by the start or the inode that it must have.
 */
#include <sys/ioctl.h>

#include "pid_info_test.h"

TEST(ids)
{
	struct pid_info info;
	pid_t zombie = spawn_zombie(1), gone = spawn_gone();
	const struct {
		pid_t pid;
		int expected;	/* an error, or the process that is told */
	} rows[] = {
		{ 0, getpid() },
		{ getpid(), getpid() },
		{ 1, 1 },
		{ 2, 2 },
		{ zombie, zombie },
		{ gone, -ESRCH },
		{ 1 << 22, -ESRCH },
		{ INT_MAX, -ESRCH },
		{ -1, -EINVAL },
		{ -getpid(), -EINVAL },
		{ INT_MIN, -EINVAL },
	};
	const unsigned int flags[] = { 0, PID_INFO_THREAD };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (j = 0; j < ARRAY_SIZE(flags); j++) {
			int ret = ask(rows[i].pid, 0, &info, flags[j]);

			EXPECT_EQ(rows[i].expected, ret ? ret : info.pid)
				TH_LOG("id %d, flags %x", rows[i].pid, flags[j]);
			EXPECT_TRUE(ret || info.tgid == info.pid);
		}
	}
	reap(zombie);
	EXPECT_EQ(-ESRCH, ask(zombie, 0, &info, 0));
}

static void *thread_main(void *unused)
{
	shared->word[1] = syscall(__NR_gettid);
	shared->ret[0] = ask(0, 0, &shared->info[0], 0);
	shared->ret[1] = ask(0, 0, &shared->info[1], PID_INFO_THREAD);
	shared->ret[2] = ask(shared->word[1], 0, &shared->info[2], 0);
	shared->ret[3] = ask(shared->word[1], 0, &shared->info[3], PID_INFO_THREAD);
	shared->word[0] = 1;
	doze();
	return unused;
}

/* A process with a second thread, the id of which is in word 1. */
static pid_t spawn_threaded(void)
{
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		pthread_t thread;

		must(!pthread_create(&thread, NULL, thread_main, NULL));
		doze();
	}
	until(shared->word[0] && state_of(pid) == 'S');
	return pid;
}

/* The id of a thread is no process's, except for the main thread's. */
TEST(threads)
{
	struct pid_info *info = shared->info, other;
	pid_t pid = spawn_threaded(), tid = shared->word[1];

	/* From inside, as 0 and by the id. */
	EXPECT_EQ(0, shared->ret[0]);
	EXPECT_EQ(pid, info[0].pid);
	EXPECT_EQ(pid, info[0].tgid);
	EXPECT_EQ(0, shared->ret[1]);
	EXPECT_EQ(tid, info[1].pid);
	EXPECT_EQ(pid, info[1].tgid);
	EXPECT_EQ(-ESRCH, shared->ret[2]);
	EXPECT_EQ(0, shared->ret[3]);
	EXPECT_EQ(tid, info[3].pid);
	EXPECT_EQ(pid, info[3].tgid);

	/* From outside. */
	EXPECT_EQ(-ESRCH, ask(tid, ALL, &other, 0));
	EXPECT_EQ(0, ask(tid, ALL, &other, PID_INFO_THREAD));
	EXPECT_EQ(tid, other.pid);
	EXPECT_EQ(pid, other.tgid);
	EXPECT_EQ(2, other.num_threads);
	EXPECT_EQ(getpid(), other.ppid);
	EXPECT_EQ(-1, other.exit_signal);
	EXPECT_EQ(0, ask(pid, ALL, &other, PID_INFO_THREAD));
	EXPECT_EQ(pid, other.pid);
	EXPECT_EQ(SIGCHLD, other.exit_signal);
	EXPECT_EQ(0, ask(pid, ALL, &other, 0));
	EXPECT_EQ(pid, other.pid);
	EXPECT_EQ(2, other.num_threads);
	finish(pid);
	EXPECT_EQ(-ESRCH, ask(tid, 0, &other, PID_INFO_THREAD));
}

TEST(pidfds)
{
	const unsigned int flags[] = { PID_INFO_PIDFD, PID_INFO_PIDFD | PID_INFO_THREAD };
	int null = open("/dev/null", O_RDWR), proc = open("/proc/self", O_RDONLY);
	int closed = dup(null), path = open("/", O_PATH);
	struct pid_info info;
	unsigned int i;

	must(null >= 0 && proc >= 0 && closed >= 0 && path >= 0);
	close(closed);
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		pid_t pid = spawn_doze();
		int fd = pidfd_open(pid), self = pidfd_open(getpid());

		EXPECT_EQ(0, ask(fd, ALL, &info, flags[i]));
		EXPECT_EQ(pid, info.pid);
		EXPECT_EQ(pid, info.tgid);
		EXPECT_EQ(LIVING & info.supported, info.filled);
		EXPECT_EQ(0, ask(self, 0, &info, flags[i]));
		EXPECT_EQ(getpid(), info.pid);

		must(!kill(pid, SIGKILL));
		await_zombie(pid);
		EXPECT_EQ(0, ask(fd, PID_INFO_EXIT, &info, flags[i]));
		EXPECT_EQ(pid, info.pid);
		EXPECT_EQ('Z', info.state);
		EXPECT_EQ(SIGKILL, info.exit_code);
		reap(pid);
		EXPECT_EQ(-ESRCH, ask(fd, 0, &info, flags[i]));
		close(fd);
		close(self);

		EXPECT_EQ(-EBADF, ask(fd, 0, &info, flags[i]));
		EXPECT_EQ(-EBADF, ask(closed, 0, &info, flags[i]));
		EXPECT_EQ(-EBADF, ask(null, 0, &info, flags[i]));
		EXPECT_EQ(-EBADF, ask(proc, 0, &info, flags[i]));
		EXPECT_EQ(-EBADF, ask(path, 0, &info, flags[i]));
		EXPECT_EQ(-EBADF, ask(-1, 0, &info, flags[i]));
		EXPECT_EQ(-EBADF, ask(AT_FDCWD, 0, &info, flags[i]));
		EXPECT_EQ(-EBADF, ask(INT_MIN, 0, &info, flags[i]));
		EXPECT_EQ(-EBADF, ask(INT_MAX, 0, &info, flags[i]));
	}
}

/* Descriptor 0 is a descriptor, and not the caller. */
TEST(pidfd_zero)
{
	struct pid_info info;
	pid_t pid = spawn_doze();

	must(dup2(pidfd_open(pid), 0) == 0);
	EXPECT_EQ(0, ask(0, 0, &info, PID_INFO_PIDFD));
	EXPECT_EQ(pid, info.pid);
	must(!close(0));
	EXPECT_EQ(-EBADF, ask(0, 0, &info, PID_INFO_PIDFD));
	EXPECT_EQ(0, ask(0, 0, &info, 0));
	EXPECT_EQ(getpid(), info.pid);
	finish(pid);
}

/* The pidfd of a thread, where there are such: a thread, and no process. */
TEST(pidfd_of_thread)
{
	struct pid_info info;
	pid_t pid = spawn_threaded(), tid = shared->word[1];
	int fd = syscall(__NR_pidfd_open, tid, O_EXCL);	/* PIDFD_THREAD */

	if (fd < 0) {
		EXPECT_STREQ("EINVAL", strerrorname_np(errno));
		finish(pid);
		SKIP(return, "this kernel has no pidfds of threads");
	}
	EXPECT_EQ(0, ask(fd, 0, &info, PID_INFO_PIDFD | PID_INFO_THREAD));
	EXPECT_EQ(tid, info.pid);
	EXPECT_EQ(pid, info.tgid);
	EXPECT_EQ(-ESRCH, ask(fd, 0, &info, PID_INFO_PIDFD));
	finish(pid);
	EXPECT_EQ(-ESRCH, ask(fd, 0, &info, PID_INFO_PIDFD | PID_INFO_THREAD));
}

/* What the kernel itself keeps of a reaped process, as PIDFD_GET_INFO first told it. */
struct kept {
	__u64 mask;
	__u64 cgroupid;
	__u32 ids[11];
	__s32 exit_code;
};

#define KEPT_EXIT	8	/* PIDFD_INFO_EXIT */

static bool keeps_exit(int fd, int *status)
{
	struct kept kept = { .mask = KEPT_EXIT };

	if (ioctl(fd, _IOWR(0xff, 11, struct kept), &kept) || !(kept.mask & KEPT_EXIT))
		return false;
	*status = kept.exit_code;
	return true;
}

/* A process that has ended as @how says, and how wait(2) told it; its pidfd. */
static int spawn_reaped(int how, int *status)
{
	pid_t pid = spawn();
	int fd;

	if (!pid) {
		if (how < 0)
			kill(getpid(), -how);
		_exit(how);
	}
	fd = pidfd_open(pid);
	*status = reap(pid);
	return fd;
}

/* After it was reaped a status is told where the kernel has it, and to who wants it. */
TEST(reaped)
{
	const int how[] = { 0, 1, 7, 255, -SIGKILL, -SIGTERM };
	struct pid_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(how); i++) {
		int status, kept = -1, fd = spawn_reaped(how[i], &status);
		bool keeps = keeps_exit(fd, &kept);

		EXPECT_EQ(0, ask(0, PID_INFO_REAPED, &info, 0));
		EXPECT_EQ(keeps ? PID_INFO_REAPED : 0, info.supported & PID_INFO_REAPED);
		EXPECT_EQ(0, info.filled & PID_INFO_REAPED);

		memset(&info, 0x5a, sizeof(info));
		EXPECT_EQ(-ESRCH, ask(fd, ALL, &info, PID_INFO_PIDFD));
		if (!keeps) {
			EXPECT_EQ(-ESRCH, ask(fd, ALL | PID_INFO_REAPED, &info, PID_INFO_PIDFD));
			close(fd);
			continue;
		}
		EXPECT_EQ(0, ask(fd, ALL | PID_INFO_REAPED, &info, PID_INFO_PIDFD));
		EXPECT_EQ(PID_INFO_REAPED, info.filled);
		EXPECT_EQ(0, info.denied);
		EXPECT_EQ(status, info.exit_code);
		EXPECT_EQ(kept, info.exit_code);
		EXPECT_EQ(0, info.pid);
		EXPECT_EQ(0, info.buffer_needed);
		EXPECT_EQ(0, ask(fd, PID_INFO_REAPED, &info, PID_INFO_PIDFD | PID_INFO_THREAD));
		EXPECT_EQ(status, info.exit_code);
		close(fd);
	}
}

/* Nobody had a pidfd of it: the id names nobody. */
TEST(reaped_by_id)
{
	struct pid_info info;
	pid_t gone = spawn_gone();

	EXPECT_EQ(-ESRCH, ask(gone, PID_INFO_REAPED, &info, 0));
	EXPECT_EQ(-ESRCH, ask(gone, PID_INFO_REAPED, &info, PID_INFO_THREAD));
}

static int outside_fd;

static void look_out(void)
{
	const unsigned int flags[] = { PID_INFO_PIDFD, PID_INFO_PIDFD | PID_INFO_THREAD };
	struct pid_info info;
	unsigned int i;
	int fd;

	/* Ids are those of here, and who is not here is not there. */
	want(1, getpid());
	for (i = 0; i < ARRAY_SIZE(flags); i++) {
		want(-ESRCH, ask(outside_fd, 0, &info, flags[i]));
		fd = pidfd_open(1);
		want(0, ask(fd, 0, &info, flags[i]));
		want(1, info.pid);
		want(0, info.ppid);
		close(fd);
	}
	want(0, ask(0, 0, &info, 0));
	want(1, info.pid);
	want(-ESRCH, ask(shared->ids[0], 0, &info, 0));
}

static void look_out_for_reaped(void)
{
	struct pid_info info;

	want(-ESRCH, ask(outside_fd, PID_INFO_REAPED, &info, PID_INFO_PIDFD));
}

TEST(pidfd_of_another_namespace)
{
	pid_t pid = spawn_doze(), inner;
	struct pid_info info;
	int fd;

	outside_fd = pidfd_open(pid);
	shared->ids[0] = pid;
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_out));

	/* Who is below has an id here. */
	inner = spawn_in(CLONE_NEWPID);
	if (!inner)
		doze();
	fd = pidfd_open(inner);
	EXPECT_EQ(0, ask(fd, 0, &info, PID_INFO_PIDFD));
	EXPECT_EQ(inner, info.pid);
	EXPECT_EQ(getpid(), info.ppid);
	finish(inner);
	finish(pid);
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, look_out_for_reaped));
}

/* Ask for the process that has this start and this inode; of a reaped one, too. */
static int ask_matching(pid_t pid, __u64 start_ns, __u64 inode, unsigned int flags)
{
	struct pid_info info = {
		.wanted = PID_INFO_REAPED,
		.match_start_ns = start_ns,
		.match_inode = inode,
	};
	int ret = get_pid_info(pid, &info, sizeof(info), flags);

	must(info.match_start_ns == start_ns && info.match_inode == inode);
	return ret;
}

TEST(match_start)
{
	pid_t first = spawn_doze(), second = spawn_doze();
	struct pid_info a, b;
	int fd = pidfd_open(first);

	EXPECT_EQ(0, ask(first, 0, &a, 0));
	EXPECT_EQ(0, ask(second, 0, &b, 0));
	ASSERT_LT(a.start_ns, b.start_ns);
	EXPECT_EQ(0, ask_matching(first, a.start_ns, 0, 0));
	EXPECT_EQ(0, ask_matching(first, a.start_ns, 0, PID_INFO_THREAD));
	EXPECT_EQ(0, ask_matching(fd, a.start_ns, 0, PID_INFO_PIDFD));
	EXPECT_EQ(0, ask_matching(second, b.start_ns, 0, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, b.start_ns, 0, 0));
	EXPECT_EQ(-ESRCH, ask_matching(second, a.start_ns, 0, 0));
	EXPECT_EQ(-ESRCH, ask_matching(fd, b.start_ns, 0, PID_INFO_PIDFD));
	EXPECT_EQ(-ESRCH, ask_matching(first, a.start_ns - 1, 0, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, a.start_ns + 1, 0, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, a.start_ns | 1ULL << 63, 0, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, 1, 0, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, ~0ULL, 0, 0));
	finish(first);
	finish(second);
}

/* The start is that of the caller's clock, in the answer and in the question. */
TEST(match_start_in_time_namespace)
{
	pid_t pid, target = spawn_doze();
	struct pid_info outside, inside;

	EXPECT_EQ(0, ask(target, 0, &outside, 0));
	must(!unshare(CLONE_NEWTIME));
	must(write_file("/proc/self/timens_offsets", "7 1000 5"));
	pid = spawn();
	if (!pid) {
		int failures = shared->failures;

		want(0, ask(target, 0, &inside, 0));
		want(outside.start_ns + 1000000000005ULL, inside.start_ns);
		want(0, ask_matching(target, inside.start_ns, 0, 0));
		want(-ESRCH, ask_matching(target, outside.start_ns, 0, 0));
		_exit(shared->failures != failures);
	}
	EXPECT_EQ(0, reap(pid));
	finish(target);
}

/* The inode is that of the pidfd, where this has one of its own. */
TEST(match_inode)
{
	pid_t first = spawn_doze(), second = spawn_doze();
	int fd = pidfd_open(first);
	struct pid_info a, b;
	struct stat stat;

	EXPECT_EQ(0, ask(first, PID_INFO_INODE, &a, 0));
	EXPECT_EQ(0, ask(second, PID_INFO_INODE, &b, 0));
	if (!(a.supported & PID_INFO_INODE)) {
		EXPECT_EQ(PID_INFO_IDENT, a.filled);
		EXPECT_EQ(-EOPNOTSUPP, ask_matching(first, 0, 1, 0));
		EXPECT_EQ(-EOPNOTSUPP, ask_matching(first, 0, ~0ULL, 0));
		EXPECT_EQ(-EOPNOTSUPP, ask_matching(first, a.start_ns, 1, 0));
		finish(first);
		finish(second);
		return;
	}
	must(!fstat(fd, &stat));
	EXPECT_EQ(stat.st_ino, a.inode);
	EXPECT_NE(a.inode, b.inode);
	EXPECT_EQ(0, ask_matching(first, 0, a.inode, 0));
	EXPECT_EQ(0, ask_matching(first, 0, a.inode, PID_INFO_THREAD));
	EXPECT_EQ(0, ask_matching(fd, 0, a.inode, PID_INFO_PIDFD));
	EXPECT_EQ(0, ask_matching(first, a.start_ns, a.inode, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, 0, b.inode, 0));
	EXPECT_EQ(-ESRCH, ask_matching(second, 0, a.inode, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, 0, a.inode + 1, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, 0, a.inode | 1ULL << 63, 0));
	/* Both have to be right. */
	EXPECT_EQ(-ESRCH, ask_matching(first, b.start_ns, a.inode, 0));
	EXPECT_EQ(-ESRCH, ask_matching(first, a.start_ns, b.inode, 0));
	finish(first);
	/* Of a reaped one the kernel may know the inode, and never the start. */
	EXPECT_EQ(a.supported & PID_INFO_REAPED ? 0 : -ESRCH,
		  ask_matching(fd, 0, a.inode, PID_INFO_PIDFD));
	EXPECT_EQ(-ESRCH, ask_matching(fd, 0, b.inode, PID_INFO_PIDFD));
	EXPECT_EQ(-ESRCH, ask_matching(fd, a.start_ns, 0, PID_INFO_PIDFD));
	EXPECT_EQ(-ESRCH, ask_matching(fd, a.start_ns, a.inode, PID_INFO_PIDFD));
	finish(second);
}

/* A child with the id @pid, which is free. */
static void spawn_as(pid_t pid)
{
	const struct {
		__aligned_u64 flags, pidfd, child_tid, parent_tid, exit_signal;
		__aligned_u64 stack, stack_size, tls, set_tid, set_tid_size;
	} args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	pid_t made = syscall(__NR_clone3, &args, sizeof(args));

	if (!made)
		doze();
	must(made == pid);
}

/* An id that has been given to another is not that one's. */
TEST(match_after_reuse)
{
	struct pid_info before, after;
	pid_t pid = spawn_doze();

	EXPECT_EQ(0, ask(pid, PID_INFO_INODE, &before, 0));
	finish(pid);
	spawn_as(pid);
	EXPECT_EQ(0, ask(pid, PID_INFO_INODE, &after, 0));
	EXPECT_LT(before.start_ns, after.start_ns);
	EXPECT_EQ(-ESRCH, ask_matching(pid, before.start_ns, 0, 0));
	EXPECT_EQ(0, ask_matching(pid, after.start_ns, 0, 0));
	if (before.supported & PID_INFO_INODE) {
		EXPECT_NE(before.inode, after.inode);
		EXPECT_EQ(-ESRCH, ask_matching(pid, 0, before.inode, 0));
	}
	finish(pid);
}

int main(int argc, char **argv)
{
	setup();
	return test_harness_run(argc, argv);
}
