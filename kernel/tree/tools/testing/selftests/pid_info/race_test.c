// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info() of tasks that change meanwhile: an answer is that of one moment, and
 * of what came after it tells nothing that this caller may not have.
 */
#include "pid_info_test.h"

#include <linux/capability.h>
#include <sys/xattr.h>

#include "proc.h"

#define OTHER		8009		/* a group */
#define PROGRAM		"program"	/* and so its comm */
#define SECRET		SCRATCH "/secret"

/* Groups that need no buffer. */
#define FIXED		(ALL & ~PIECES)

/* Rounds of a race: so many, or for so long. */
struct rounds {
	unsigned int most;
	unsigned int seconds;
	unsigned int count;
	__u64 end;
};

static bool another(struct rounds *rounds)
{
	__u64 now = clock_ns(CLOCK_MONOTONIC);

	if (!rounds->end)
		rounds->end = now + rounds->seconds * 1000000000ULL;
	if (rounds->count == rounds->most || now > rounds->end)
		return false;
	rounds->count++;
	return true;
}

/* Whether the child @pid has ended; it stays a zombie. */
static bool has_ended(pid_t pid)
{
	siginfo_t info = {};

	must(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT | WNOHANG));
	return info.si_pid == pid;
}

/* What can be wrong in any answer for the process @pid. */
static const char *fault(const struct pid_info *info, pid_t pid)
{
	if (info->pid != pid || info->tgid != pid)
		return "another process";
	if (!strchr("RSDTtZXPI", info->state))
		return "no state";
	if (stale_bytes(info))
		return "stale bytes";
	return mask_fault(info, ALL);
}

/* The record of @pid as the first of many from it on. Returns their number. */
static int ask_one_of_many(pid_t pid, struct pid_info *info)
{
	struct pid_info request = { .cursor = pid };

	return ask_many(0, FIXED, &request, 0, info, sizeof(*info));
}

/* Who is on its way out gives a right answer or is not there. */
TEST(exits)
{
	struct rounds rounds = { .most = 1009, .seconds = 4 };
	unsigned int told = 0;
	struct pid_info info;
	int ret;

	while (another(&rounds)) {
		bool reaps = rounds.count % 2;
		pid_t pid;

		/* In the other rounds it is gone without having been a zombie. */
		signal(SIGCHLD, reaps ? SIG_DFL : SIG_IGN);
		pid = spawn();
		if (!pid)
			_exit(5);
		while (!(ret = ask(pid, ALL, &info, 0))) {
			EXPECT_EQ(NULL, fault(&info, pid))
				TH_LOG("%s", fault(&info, pid));
			if (info.filled & PID_INFO_EXIT)
				EXPECT_EQ(5 << 8, info.exit_code);
			told++;
			if (reaps && info.state == 'Z') {
				EXPECT_EQ(PID_INFO_EXIT, info.filled & PID_INFO_EXIT);
				reap(pid);
			}
		}
		EXPECT_EQ(-ESRCH, ret);
	}
	TH_LOG("%u rounds", rounds.count);
	EXPECT_LT(rounds.count / 2, told);
}

/*
 * A chain of execve(2), by the main thread or by another each time
 */

static void *exec_next(void *argv)
{
	execv("/proc/self/exe", argv);
	return NULL;
}

static int exec_chain(const char *who, int left)
{
	bool by_thread = !strcmp(who, "thread");
	char text[16];
	char *const argv[] = { "exec-chain", (char *)who, text, NULL };
	pthread_t thread;

	if (!left--)
		return 0;
	snprintf(text, sizeof(text), "%d", left);
	if (!by_thread)
		exec_next((void *)argv);
	else if (!pthread_create(&thread, NULL, exec_next, (void *)argv))
		doze();
	return KSFT_FAIL;
}

/* There is no moment without the process, nor one with another's identity. */
static void race_with_chain(struct __test_metadata *_metadata, char *who)
{
	char *const argv[] = { "exec-chain", who, "211", NULL };
	struct pid_info first, info;
	unsigned int told;
	pid_t pid = spawn();
	int ret;

	if (!pid) {
		execv("/proc/self/exe", argv);
		_exit(KSFT_FAIL);
	}
	ASSERT_EQ(0, ask(pid, FIXED, &first, 0));
	for (told = 0; !has_ended(pid); told++) {
		bool many = told % 3 == 1, match = told % 3 == 2;

		if (many) {
			ret = ask_one_of_many(pid, &info) - 1;
			info.wanted = ALL;
		} else if (match) {
			memset(&info, 0, sizeof(info));
			info.wanted = ALL;
			info.match_start_ns = first.start_ns;
			info.match_inode = first.inode;
			ret = get_pid_info(pid, &info, sizeof(info), 0);
		} else {
			ret = ask(pid, ALL, &info, 0);
		}
		ASSERT_EQ(0, ret)
			TH_LOG("many %d, match %d", many, match);
		EXPECT_EQ(NULL, fault(&info, pid))
			TH_LOG("%s", fault(&info, pid));
		EXPECT_EQ(first.start_ns, info.start_ns);
		EXPECT_EQ(first.inode, info.inode);
		/* A main thread that was killed for its heir is not the end of the process. */
		if (info.filled & PID_INFO_EXIT) {
			EXPECT_EQ(0, info.exit_code);
			EXPECT_TRUE(has_ended(pid));
		}
	}
	EXPECT_EQ(0, reap(pid));
	TH_LOG("211 rounds, %u answers", told);
	EXPECT_LT(211, told);
}

TEST(exec_by_leader)
{
	race_with_chain(_metadata, "leader");
}

TEST(exec_by_thread)
{
	race_with_chain(_metadata, "thread");
}

/*
 * A process becomes a program with rights that its former owner, who looks, has not
 */

enum rights { SET_UID, SET_GID, CAPABILITY };

/* What the program of the test gives, to be inherited by its processes. */
static enum rights rights;

/* Has the program been started? Its rights tell. */
static bool is_after(const struct pid_info *info)
{
	switch (rights) {
	case SET_UID:
		return info->euid == 0;
	case SET_GID:
		return info->egid == OTHER;
	case CAPABILITY:
		return info->cap_effective >> CAP_NET_RAW & 1;
	}
	return false;
}

/* The program: say whether it has got more than it was started with, and be there. */
static int program(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	must(!syscall(__NR_capget, &header, data));
	if (geteuid() == getuid() && getegid() == getgid() && !data[0].effective)
		return 2;
	must(!chdir(SECRET));
	sleep_ms(3);
	return 0;
}

static void *exec_program(void *unused)
{
	execl(SCRATCH "/" PROGRAM, PROGRAM, NULL);
	_exit(KSFT_FAIL);
}

/* A child that executes the program, by a thread that is not its first or by that. */
static pid_t spawn_program(bool by_thread)
{
	pid_t pid = spawn();
	pthread_t thread;

	if (pid)
		return pid;
	must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	if (!by_thread)
		exec_program(NULL);
	must(!pthread_create(&thread, NULL, exec_program, NULL));
	doze();
	return 0;
}

/* Become the looker, who is nobody to the program once that has been started. */
static void become_looker(void)
{
	become(USER);
	must(!prctl(PR_SET_DUMPABLE, 1) && !chdir("/"));
}

static bool is_own_child(pid_t pid)
{
	struct pid_info info;
	__s32 ids[16];
	unsigned int i;

	must(!ask_into(0, PID_INFO_CHILDREN, &info, 0, ids, sizeof(ids)));
	must(info.children.size <= sizeof(ids));
	for (i = 0; i < info.children.size / sizeof(*ids); i++)
		if (ids[i] == pid)
			return true;
	return false;
}

/* With hidepid=2 the program is not there, however it is asked for. */
static void look_at_hidden(void)
{
	struct rounds rounds = { .most = 307, .seconds = 4 };
	unsigned int before = 0, after = 0, listed = 0, leaks = 0, back = 0, looks = 0;
	struct pid_info info;

	become_looker();
	while (another(&rounds)) {
		pid_t pid = spawn_program(rounds.count % 2);
		int fd = pidfd_open(pid), ret;
		bool hidden = false, child;

		do {
			switch (looks++ % 3) {
			case 0:
				ret = ask(pid, ALL, &info, 0);
				break;
			case 1:
				ret = ask(pid, ALL, &info, PID_INFO_THREAD);
				break;
			default:
				ret = ask(fd, ALL, &info, PID_INFO_PIDFD);
				break;
			}
			must(!ret || ret == -ESRCH);
			leaks += !ret && is_after(&info);
			before += !ret;
			/* Nothing gives it back to who has lost it. */
			back += hidden && !ret;
			hidden |= !!ret;

			ret = ask_one_of_many(pid, &info);
			must(ret >= 0);
			ret = ret && info.pid == pid;
			leaks += ret && is_after(&info);
			back += hidden && ret;

			child = is_own_child(pid);
			listed += child;
			back += hidden && child;
			after += hidden;
		} while (!has_ended(pid));
		close(fd);
		must(!reap(pid));
	}
	fprintf(stderr, "# %u rounds: there %u times, as a child %u, hidden %u\n",
		rounds.count, before, listed, after);
	want(0, leaks);
	want(0, back);
	want(true, before > 0);
	want(true, listed > 0);
	want(true, after > 0);
	_exit(0);
}

static void hidden(void)
{
	pid_t looker;

	must(!write_error(HIDEPID, "2"));
	looker = spawn();
	if (!looker)
		look_at_hidden();
	want(0, reap(looker));
}

/*
 * Otherwise it is there, and as long as anything private is told, the former program
 * is what that is about.
 */
static void look_at_open(void)
{
	struct rounds rounds = { .most = 307, .seconds = 4 };
	unsigned int before = 0, after = 0, leaks = 0, mixed = 0, led = 0;
	static char pieces[4 * PATH_MAX];
	struct pid_info info;

	become_looker();
	while (another(&rounds)) {
		pid_t pid = spawn_program(rounds.count % 2);
		bool is_program;

		do {
			memset(pieces, 0, sizeof(pieces));
			must(!ask_into(pid, ALL, &info, 0, pieces, sizeof(pieces)));
			is_program = !strcmp(info.comm, PROGRAM);
			mixed += is_program != is_after(&info);
			leaks += is_program && (info.filled & PRIVATE);
			before += !is_program && (info.filled & PID_INFO_CWD);
			after += is_program && (info.denied & PID_INFO_CWD);
			if (info.filled & PID_INFO_CWD)
				led += !!strcmp("/", piece(pieces, info.cwd));
			if (info.filled & PID_INFO_EXE)
				led += !!strstr(piece(pieces, info.exe), "/" PROGRAM);

			must(ask_one_of_many(pid, &info) == 1 && info.pid == pid);
			is_program = !strcmp(info.comm, PROGRAM);
			mixed += is_program != is_after(&info);
			leaks += is_program && (info.filled & PRIVATE);
		} while (!has_ended(pid));
		must(!reap(pid));
	}
	fprintf(stderr, "# %u rounds: seen %u times before, %u after\n", rounds.count, before,
		after);
	want(0, leaks);
	want(0, mixed);
	want(0, led);
	want(true, before > 0);
	want(true, after > 0);
	_exit(0);
}

static void visible(void)
{
	pid_t looker = spawn();

	if (!looker)
		look_at_open();
	want(0, reap(looker));
}

FIXTURE(rights)
{
	bool made;
};

FIXTURE_VARIANT(rights)
{
	enum rights rights;
};

FIXTURE_VARIANT_ADD(rights, set_uid)
{
	.rights = SET_UID,
};

FIXTURE_VARIANT_ADD(rights, set_gid)
{
	.rights = SET_GID,
};

FIXTURE_VARIANT_ADD(rights, capability)
{
	.rights = CAPABILITY,
};

FIXTURE_SETUP(rights)
{
	const struct vfs_cap_data caps = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0].permitted = 1U << CAP_NET_RAW,
	};
	const char *path = SCRATCH "/" PROGRAM;

	place();
	rights = variant->rights;
	must(!mkdir(SECRET, 0755));
	copy_self(path, 0, rights == SET_GID ? OTHER : 0,
		  rights == SET_UID ? 04755 : rights == SET_GID ? 02755 : 0755);
	self->made = rights != CAPABILITY ||
		     !setxattr(path, "security.capability", &caps, XATTR_CAPS_SZ_2, 0);
	must(self->made || errno == EOPNOTSUPP);
}

FIXTURE_TEARDOWN(rights)
{
}

TEST_F(rights, hidden)
{
	if (!self->made)
		SKIP(return, "no capabilities of files");
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, hidden));
}

TEST_F(rights, visible)
{
	if (!self->made)
		SKIP(return, "no capabilities of files");
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, visible));
}

/*
 * An id goes from one process to the next
 */

#define REUSED		1013

static struct {
	atomic_ullong dead;	/* start of one that has been reaped */
	atomic_ullong alive;	/* and of its successor */
	atomic_ullong inode;
	atomic_bool ends;
	atomic_uint matches, misses;
} *reuse;

/* As clone3(2) takes it; its header fights that of the C library. */
struct clone3_args {
	__u64 flags;
	__u64 pidfd;
	__u64 child_tid;
	__u64 parent_tid;
	__u64 exit_signal;
	__u64 stack;
	__u64 stack_size;
	__u64 tls;
	__u64 set_tid;
	__u64 set_tid_size;
};

/* A child with the id @pid. */
static void spawn_as(pid_t pid)
{
	struct clone3_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&pid,
		.set_tid_size = 1,
	};
	long ret = syscall(__NR_clone3, &args, sizeof(args));

	must(ret >= 0);
	if (!ret)
		doze();
	must(ret == pid);
}

static int ask_match(__u64 start_ns, __u64 inode, struct pid_info *info)
{
	memset(info, 0, sizeof(*info));
	info->wanted = ALL;
	info->match_start_ns = start_ns;
	info->match_inode = inode;
	return get_pid_info(REUSED, info, sizeof(*info), 0);
}

static void look_at_reused(void)
{
	struct pid_info info;

	must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	while (!reuse->ends) {
		__u64 dead = reuse->dead, alive = reuse->alive, inode = reuse->inode;
		int ret;

		if (dead)
			want(-ESRCH, ask_match(dead, 0, &info));
		ret = ask_match(alive, 0, &info);
		if (!ret)
			want(alive, info.start_ns);
		else
			want(-ESRCH, ret);
		reuse->matches += !ret;
		reuse->misses += !!ret;
		if (inode && !ask_match(0, inode, &info))
			want(inode, info.inode);
	}
	_exit(0);
}

static void reuse_ids(void)
{
	struct rounds rounds = { .most = 997, .seconds = 4 };
	struct pid_info info, before = {}, other;
	pid_t looker;

	/* Something that no process has. */
	reuse->alive = 1;
	looker = spawn();
	if (!looker)
		look_at_reused();
	while (another(&rounds)) {
		spawn_as(REUSED);
		want(0, ask(REUSED, FIXED, &info, 0));
		want(true, info.start_ns > before.start_ns);
		if (before.start_ns)
			want(-ESRCH, ask_match(before.start_ns, 0, &other));
		if (before.inode)
			want(-ESRCH, ask_match(0, before.inode, &other));
		want(0, ask_match(info.start_ns, info.inode, &other));
		before = info;
		reuse->inode = info.inode;
		reuse->alive = info.start_ns;
		/* Let the other look at this one, too. */
		sleep_ms(1);
		finish(REUSED);
		reuse->dead = info.start_ns;
	}
	reuse->ends = true;
	want(0, reap(looker));
	fprintf(stderr, "# %u rounds: %u times the same, %u times not\n", rounds.count,
		reuse->matches, reuse->misses);
	want(true, reuse->matches > 0);
	want(true, reuse->misses > 0);
}

/* Who asks for one that was is never answered for its successor. */
TEST(reused_ids)
{
	reuse = map_shared(sizeof(*reuse));
	shared->failures = 0;
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, reuse_ids));
}

/*
 * Threads come and go
 */

enum { THREADS = 499, AT_ONCE = 4, BYTES = 1009 };

static void *write_and_go(void *fd)
{
	static const char bytes[BYTES];

	must(write(*(int *)fd, bytes, BYTES) == BYTES);
	sleep_ms(1);
	return NULL;
}

static void churn_threads(void)
{
	pthread_t thread[THREADS];
	int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	unsigned int i;

	must(!prctl(PR_SET_PDEATHSIG, SIGKILL) && fd >= 0);
	for (i = 0; i < THREADS + AT_ONCE; i++) {
		if (i >= AT_ONCE)
			must(!pthread_join(thread[i - AT_ONCE], NULL));
		if (i < THREADS)
			must(!pthread_create(&thread[i], NULL, write_and_go, &fd));
	}
	_exit(0);
}

/* What a process has used never falls, whichever of its threads used it. */
static void expect_more(struct __test_metadata *_metadata, const struct pid_info *before,
			const struct pid_info *info)
{
	EXPECT_LE(before->utime_ns, info->utime_ns);
	EXPECT_LE(before->stime_ns, info->stime_ns);
	EXPECT_LE(before->nvcsw, info->nvcsw);
	EXPECT_LE(before->nivcsw, info->nivcsw);
	EXPECT_LE(before->min_flt, info->min_flt);
	EXPECT_LE(before->maj_flt, info->maj_flt);
	EXPECT_LE(before->runtime_ns, info->runtime_ns);
	EXPECT_LE(before->rchar, info->rchar);
	EXPECT_LE(before->wchar, info->wchar);
	EXPECT_LE(before->syscw, info->syscw);
	EXPECT_EQ(before->start_ns, info->start_ns);
}

/* The records of the threads of @pid. Returns how many there are but for the main one. */
static unsigned int expect_threads(struct __test_metadata *_metadata, pid_t pid)
{
	static __u64 buffer[(2 * AT_ONCE + 1) * sizeof(struct pid_info) / sizeof(__u64)];
	struct pid_info request = {}, info, *record = (void *)buffer;
	int i, count = ask_many(pid, FIXED, &request, PID_INFO_THREAD, buffer, sizeof(buffer));
	unsigned int others = 0;
	pid_t last = 0;

	EXPECT_LE(0, count);
	for (i = 0; i < count; i++, record = next_record(record)) {
		int ret;

		EXPECT_LT(last, record->pid);
		EXPECT_EQ(pid, record->tgid);
		EXPECT_EQ(NULL, mask_fault(record, FIXED));
		EXPECT_EQ(0, stale_bytes(record));
		last = record->pid;
		if (last == pid)
			continue;
		others++;
		/* It is no process, and a thread as long as it is there. */
		EXPECT_EQ(-1, record->exit_signal);
		EXPECT_EQ(-ESRCH, ask(last, 0, &info, 0));
		ret = ask(last, ALL, &info, PID_INFO_THREAD);
		EXPECT_TRUE(ret == -ESRCH || (!ret && info.pid == last && info.tgid == pid));
	}
	return others;
}

TEST(threads)
{
	struct pid_info before, info;
	unsigned int answers = 0, seen = 0;
	pid_t pid = spawn();

	if (!pid)
		churn_threads();
	ASSERT_EQ(0, ask(pid, ALL, &before, 0));
	for (;;) {
		ASSERT_EQ(0, ask(pid, ALL, &info, 0));
		EXPECT_EQ(NULL, fault(&info, pid))
			TH_LOG("%s", fault(&info, pid));
		expect_more(_metadata, &before, &info);
		before = info;
		answers++;
		if (has_ended(pid))
			break;
		seen += expect_threads(_metadata, pid);
	}
	EXPECT_EQ(0, ask(pid, ALL, &info, 0));
	expect_more(_metadata, &before, &info);
	if (info.filled & PID_INFO_IO)
		EXPECT_EQ(THREADS * BYTES, info.wchar);
	EXPECT_EQ(0, reap(pid));
	TH_LOG("%u threads, %u answers, %u records of threads", THREADS, answers, seen);
	EXPECT_LT(11, answers);
	EXPECT_LT(0, seen);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[0], "exec-chain"))
		return exec_chain(argv[1], atoi(argv[2]));
	if (!strcmp(argv[0], PROGRAM))
		return program();
	setup();
	return test_harness_run(argc, argv);
}
