// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info(): who is told what. The same caller asks /proc for the same of the
 * same task, and both have to answer, and to refuse, alike.
 */
#include "pid_info_test.h"

#include <sys/fsuid.h>

#include "proc.h"

#define OTHER		8009	/* a user and a group */
#define EXEMPT		7001	/* a group */

#define SET_UID		SCRATCH "/setuid"
#define SET_UID_OTHER	SCRATCH "/setuid-other"
#define SET_GID		SCRATCH "/setgid"
#define HIDING_PROC	SCRATCH "/proc"

/* A user, in its group of the same number unless @gid says otherwise. */
struct user {
	uid_t uid;
	gid_t gid;
	int group;	/* a supplementary one, or -1 for none */
};

static void become_user(const struct user *user)
{
	gid_t group = user->group;

	must(!setgroups(user->group >= 0, &group));
	must(!setresgid(user->gid, user->gid, user->gid));
	must(!setresuid(user->uid, user->uid, user->uid));
}

/*
 * Those who are looked at
 */

enum kind {
	ROOTS, USERS, NOBODYS,
	USERS_SECRET,		/* not dumpable */
	USERS_OTHER_GROUP,
	RUNS_SET_UID, RUNS_SET_UID_OTHER, RUNS_SET_GID,	/* started by USER */
	KINDS_OF_TARGETS
};

/* The programs with another's rights. */
static void make_programs(void)
{
	copy_self(SET_UID, 0, 0, 04755);
	copy_self(SET_UID_OTHER, OTHER, 0, 04755);
	copy_self(SET_GID, 0, OTHER, 02755);
}

static void run_program(const char *path)
{
	become(USER);
	execl(path, "helper", NULL);
	_exit(KSFT_FAIL);
}

static void be_target(enum kind kind)
{
	const struct user mixed = { USER, OTHER, -1 };

	switch (kind) {
	case ROOTS:
		become(0);
		break;
	case USERS:
	case USERS_SECRET:
		become(USER);
		break;
	case NOBODYS:
		become(NOBODY);
		break;
	case USERS_OTHER_GROUP:
		become_user(&mixed);
		break;
	case RUNS_SET_UID:
		run_program(SET_UID);
		break;
	case RUNS_SET_UID_OTHER:
		run_program(SET_UID_OTHER);
		break;
	case RUNS_SET_GID:
		run_program(SET_GID);
		break;
	case KINDS_OF_TARGETS:
		break;
	}
	must(!prctl(PR_SET_DUMPABLE, kind != USERS_SECRET));
	must(!prctl(PR_SET_NAME, "helper"));
	doze();
}

/* Wait until a target has become what it is. */
static void await_target(pid_t pid)
{
	char file[32], text[32];

	snprintf(file, sizeof(file), "/proc/%d/comm", pid);
	until(!read_at(AT_FDCWD, file, text, sizeof(text)) && !strcmp(text, "helper\n") &&
	      state_of(pid) == 'S');
}

static pid_t spawn_target(enum kind kind)
{
	pid_t pid = spawn();

	if (!pid)
		be_target(kind);
	await_target(pid);
	return pid;
}

/*
 * Groups of fields
 */

/* What @user is told of @pid, into *@info in shared memory. */
static int look(const struct user *user, pid_t pid, struct pid_info *info,
		unsigned int flags)
{
	pid_t looker = spawn();

	if (!looker) {
		become_user(user);
		shared->ret[15] = ask(pid, ALL, info, flags);
		_exit(0);
	}
	must(!reap(looker));
	return shared->ret[15];
}

static int look_as(uid_t uid, pid_t pid, struct pid_info *info, unsigned int flags)
{
	const struct user user = { uid, uid, -1 };

	return look(&user, pid, info, flags);
}

static int answer_to(const struct user *user, pid_t pid)
{
	return look(user, pid, shared->info, 0);
}

/* Compare what the user @uid is told with what it sees in /proc. */
static int compare_as(uid_t uid, pid_t pid)
{
	pid_t looker = spawn();

	if (!looker) {
		become(uid);
		_exit(compare(pid) || compare_thread(pid, pid));
	}
	return reap(looker);
}

TEST(matrix)
{
	/* Whom each user may read, one bit for each kind. */
	const struct {
		uid_t looker;
		unsigned int may;
	} rows[] = {
		{ 0, ~0U },
		{ USER, 1U << USERS },
		{ NOBODY, 1U << NOBODYS },
	};
	struct pid_info *info = &shared->info[0], *by_root = &shared->info[1];
	unsigned int i, j, kind, flags;

	place();
	make_programs();
	for (kind = 0; kind < KINDS_OF_TARGETS; kind++) {
		pid_t pid = spawn_target(kind);

		for (i = 0; i < ARRAY_SIZE(rows); i++) {
			bool may = rows[i].may >> kind & 1;

			EXPECT_EQ(0, compare_as(rows[i].looker, pid))
				TH_LOG("user %u, kind %u", rows[i].looker, kind);
			for (flags = 0; flags <= PID_INFO_THREAD; flags++) {
				EXPECT_EQ(0, look_as(rows[i].looker, pid, info, flags));
				EXPECT_EQ(may ? 0 : PRIVATE & info->supported, info->denied)
					TH_LOG("user %u, kind %u", rows[i].looker, kind);
				EXPECT_EQ(LIVING & info->supported & ~info->denied,
					  info->filled);
				EXPECT_EQ(0, stale_bytes(info));
			}

			/* Who sees a group sees in it what root sees. */
			EXPECT_EQ(0, ask(pid, ALL, by_root, PID_INFO_THREAD));
			by_root->age_ns = 0;
			info->age_ns = 0;
			for (j = 0; j < ARRAY_SIZE(groups); j++) {
				size_t start = groups[j].start;

				if (!(info->filled & groups[j].bit))
					continue;
				EXPECT_EQ(0, memcmp((char *)info + start,
						    (char *)by_root + start,
						    group_end(j) - start))
					TH_LOG("user %u, kind %u, group %llx",
					       rows[i].looker, kind, groups[j].bit);
			}
		}
		finish(pid);
	}
}

/* Each group alone is denied as in the company of others: none opens another. */
TEST(by_group)
{
	const __u64 together[] = {
		READ_GROUPS, ATTACH_GROUPS, PRIVATE, PID_INFO_CREDS | PID_INFO_SP,
		PID_INFO_IO | PID_INFO_SP, ~0ULL,
	};
	pid_t denied, looker;
	struct pid_info info;
	unsigned int i;

	place();
	denied = spawn_target(ROOTS);
	looker = spawn();
	if (!looker) {
		become(NOBODY);
		for (i = 0; i < ARRAY_SIZE(groups) + ARRAY_SIZE(together); i++) {
			__u64 wanted = i < ARRAY_SIZE(groups) ? groups[i].bit :
				       together[i - ARRAY_SIZE(groups)];
			__u64 can;

			want(0, ask(denied, wanted, &info, 0));
			can = wanted & info.supported;
			want(can & PRIVATE, info.denied);
			want((can & LIVING & ~PRIVATE) | PID_INFO_IDENT, info.filled);
			want(0, stale_bytes(&info));
			want(true, !mask_fault(&info, wanted));
		}
		_exit(0);
	}
	EXPECT_EQ(0, reap(looker));
	EXPECT_EQ(0, shared->failures);
	finish(denied);
}

/* Processes without memory of their own. */
TEST(without_memory)
{
	struct pid_info *info = shared->info;
	pid_t zombie, mine;

	place();
	EXPECT_EQ(0, look_as(NOBODY, 2, info, 0));
	EXPECT_EQ(PID_INFO_F_KTHREAD, info->flags);
	EXPECT_EQ(PRIVATE & info->supported, info->denied);
	EXPECT_EQ(0, compare_as(NOBODY, 2));

	zombie = spawn_zombie(3);
	EXPECT_EQ(0, look_as(NOBODY, zombie, info, 0));
	EXPECT_EQ(PRIVATE & info->supported, info->denied);
	EXPECT_EQ(0, info->exit_code);
	EXPECT_EQ(0, compare_as(NOBODY, zombie));
	EXPECT_EQ(0, look_as(0, zombie, info, 0));
	EXPECT_EQ(PID_INFO_EXIT, info->filled & PID_INFO_EXIT);
	EXPECT_EQ(3 << 8, info->exit_code);
	reap(zombie);

	/* The end of an own process is told. */
	mine = spawn();
	if (!mine) {
		become(NOBODY);
		must(!prctl(PR_SET_DUMPABLE, 1));
		_exit(5);
	}
	await_zombie(mine);
	EXPECT_EQ(0, look_as(NOBODY, mine, info, 0));
	EXPECT_EQ(0, info->denied);
	EXPECT_EQ(PID_INFO_EXIT, info->filled & PID_INFO_EXIT);
	EXPECT_EQ(5 << 8, info->exit_code);
	EXPECT_EQ(0, compare_as(NOBODY, mine));
	EXPECT_EQ(0, look_as(USER, mine, info, 0));
	EXPECT_EQ(PRIVATE & info->supported, info->denied);
	reap(mine);
}

/*
 * As /proc, the call goes by the ids of the file system, not by the real ones that
 * ptrace(2) goes by.
 */
TEST(fscreds)
{
	pid_t users, others, looker;
	struct pid_info info;
	const struct user other = { OTHER, OTHER, -1 };

	place();
	users = spawn_target(USERS);
	others = spawn();
	if (!others) {
		become_user(&other);
		must(!prctl(PR_SET_DUMPABLE, 1) && !prctl(PR_SET_NAME, "helper"));
		doze();
	}
	await_target(others);

	looker = spawn();
	if (!looker) {
		must(!setgroups(0, NULL));
		must(!setresgid(USER, USER, OTHER) && !setresuid(USER, USER, OTHER));
		want(0, ask(users, ALL, &info, 0));
		want(0, info.denied);
		want(0, compare(users));
		want(0, ask(others, ALL, &info, 0));
		want(PRIVATE & info.supported, info.denied);
		want(0, compare(others));

		setfsuid(OTHER);
		must(setfsuid(-1) == OTHER);
		/* The user alone is neither's. */
		want(0, ask(users, ALL, &info, 0));
		want(PRIVATE & info.supported, info.denied);
		want(0, ask(others, ALL, &info, 0));
		want(PRIVATE & info.supported, info.denied);
		want(0, compare(others));

		setfsgid(OTHER);
		must(setfsgid(-1) == OTHER);
		want(0, ask(users, ALL, &info, 0));
		want(PRIVATE & info.supported, info.denied);
		want(0, compare(users));
		want(0, ask(others, ALL, &info, 0));
		want(0, info.denied);
		want(0, compare(others));
		_exit(0);
	}
	EXPECT_EQ(0, reap(looker));
	EXPECT_EQ(0, shared->failures);
	finish(users);
	finish(others);
}

/*
 * Visibility: what the sysctls hide is what a /proc hides that is mounted so. All of
 * it is done in PID namespaces of the tests' own, each with its own settings.
 */

static void set_visibility(int hidepid, unsigned int gid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", hidepid);
	must(!write_error(HIDEPID, text));
	snprintf(text, sizeof(text), "%u", gid);
	must(!write_error(HIDEPID_GID, text));
}

static long setting(const char *path)
{
	char text[32];

	must(!read_at(AT_FDCWD, path, text, sizeof(text)));
	return strtol(text, NULL, 10);
}

/* What the call has to return for @pid: as the file of the hiding /proc opens. */
static int visibility(pid_t pid)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), HIDING_PROC "/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		close(fd);
		return 0;
	}
	must(errno == EPERM || errno == ENOENT);
	return errno == ENOENT ? -ESRCH : -EPERM;
}

/* The children of @parent, by the /proc that hides nothing; their number. */
static unsigned int read_children(pid_t parent, __s32 *ids, unsigned int room)
{
	char path[64], text[4096], *at, *end;
	unsigned int count = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	must(!read_at(AT_FDCWD, path, text, sizeof(text)));
	for (at = text; strtol(at, &end, 10) > 0; at = end) {
		must(count < room);
		ids[count++] = strtol(at, NULL, 10);
	}
	sort_ids(ids, count);
	return count;
}

enum { PROCESSES = 64 };

/* Children who are not there must not be children of anybody. */
static void check_children(pid_t parent)
{
	__s32 listed[PROCESSES], seen[PROCESSES], told[PROCESSES];
	unsigned int count, i, visible = 0;
	struct pid_info info;

	count = read_children(parent, listed, PROCESSES);
	for (i = 0; i < count; i++)
		if (visibility(listed[i]) != -ESRCH)
			seen[visible++] = listed[i];
	want(0, ask_into(parent, PID_INFO_CHILDREN, &info, 0, told, sizeof(told)));
	want(visible * sizeof(*told), info.children.size);
	want(0, info.children.offset);
	sort_ids(told, visible);
	want(0, memcmp(seen, told, visible * sizeof(*told)));
	shared->ids[0] += count - visible;
}

/* All processes, one by one and many at a time, as the caller sees them. */
static void check_visibility(const __s32 *pids, const int *pidfds, unsigned int count)
{
	static __u64 buffer[1 << 13];
	struct pid_info info, request = {}, *record = (void *)buffer;
	__s32 seen[PROCESSES];
	unsigned int i, visible = 0;
	int records;

	for (i = 0; i < count; i++) {
		int expected = visibility(pids[i]);

		want(expected, ask(pids[i], 0, &info, 0));
		want(expected, ask(pids[i], ALL, &info, 0));
		want(expected, ask(pids[i], ALL, &info, PID_INFO_THREAD));
		want(expected, ask(pidfds[i], ALL, &info, PID_INFO_PIDFD));
		shared->ids[1] += expected == -EPERM;
		shared->ids[2] += expected == -ESRCH;
		if (expected)
			continue;
		seen[visible++] = pids[i];
		check_children(pids[i]);
	}

	/* The caller is among those that it sees. */
	records = ask_many(0, ALL, &request, 0, buffer, sizeof(buffer));
	want(visible + 1, records);
	for (i = 0; i < visible && (int)i < records; i++) {
		want(seen[i], record->pid);
		record = next_record(record);
	}
	want(getpid(), record->pid);
	want(0, ask_many(0, ALL, &request, 0, buffer, sizeof(buffer)));

	/* And every one of their threads. */
	request.cursor = 0;
	records = ask_many(0, 0, &request, PID_INFO_THREAD, buffer, sizeof(buffer));
	want(visible + 1, records);
}

static void hides_as_proc(void)
{
	static const struct user lookers[] = {
		{ 0, 0, -1 }, { USER, USER, -1 }, { NOBODY, NOBODY, -1 },
		{ USER, USER, EXEMPT }, { NOBODY, EXEMPT, -1 }, { NOBODY, NOBODY, 0 },
	};
	static const unsigned int gids[] = { 0, EXEMPT };
	unsigned int i, j, kind, count;
	__s32 pids[PROCESSES];
	int pidfds[PROCESSES];
	int hidepid;
	pid_t parent;

	make_programs();
	must(!mkdir(HIDING_PROC, 0755));
	for (kind = 0; kind < KINDS_OF_TARGETS; kind++)
		spawn_target(kind);
	/* And a user's process with all of them as children. */
	parent = spawn();
	if (!parent) {
		for (kind = 0; kind < KINDS_OF_TARGETS; kind++)
			spawn_target(kind);
		be_target(USERS);
	}
	await_target(parent);
	count = list_ids("/proc", pids, PROCESSES);
	want(2 * KINDS_OF_TARGETS + 2, count);
	for (i = 0; i < count; i++)
		pidfds[i] = pidfd_open(pids[i]);

	memset(shared->ids, 0, sizeof(shared->ids));
	for (hidepid = 0; hidepid <= 2; hidepid++) {
		for (i = 0; i < ARRAY_SIZE(gids); i++) {
			char options[64];

			set_visibility(hidepid, gids[i]);
			snprintf(options, sizeof(options), "hidepid=%d,gid=%u", hidepid,
				 gids[i]);
			must(!mount("proc", HIDING_PROC, "proc", 0, options));
			for (j = 0; j < ARRAY_SIZE(lookers); j++) {
				int failures = shared->failures;
				pid_t looker = spawn();

				if (!looker) {
					become_user(&lookers[j]);
					check_visibility(pids, pidfds, count);
					_exit(0);
				}
				want(0, reap(looker));
				if (shared->failures != failures)
					fprintf(stderr, "# %s, user %u, group %u, %d\n",
						options, lookers[j].uid, lookers[j].gid,
						lookers[j].group);
			}
			must(!umount(HIDING_PROC));
		}
	}
	/* All three answers have been seen, and children were left out. */
	want(true, shared->ids[0] > 0);
	want(true, shared->ids[1] > 0);
	want(true, shared->ids[2] > 0);
}

TEST(hidepid)
{
	place();
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, hides_as_proc));
}

static const struct user plain = { NOBODY, NOBODY, -1 };
static const struct user exempt = { NOBODY, NOBODY, EXEMPT };
static const struct user root = { 0, 0, -1 };

/* In the first PID namespace root may go up and down. */
TEST(hidepid_outside)
{
	const struct pid_info *info = shared->info;
	struct guard hidepid, gid;
	pid_t mine;

	place();
	ASSERT_EQ(0, setting(HIDEPID));
	ASSERT_EQ(0, setting(HIDEPID_GID));
	mine = spawn_target(NOBODYS);
	hidepid = guard(HIDEPID);
	gid = guard(HIDEPID_GID);

	EXPECT_EQ(0, answer_to(&plain, 1));
	set_visibility(2, EXEMPT);
	EXPECT_EQ(2, setting(HIDEPID));
	EXPECT_EQ(EXEMPT, setting(HIDEPID_GID));
	EXPECT_EQ(-ESRCH, answer_to(&plain, 1));
	EXPECT_EQ(-ESRCH, answer_to(&plain, 2));
	EXPECT_EQ(0, answer_to(&plain, mine));
	EXPECT_EQ(0, answer_to(&exempt, 1));
	EXPECT_EQ(0, answer_to(&root, 1));
	set_visibility(1, EXEMPT);
	EXPECT_EQ(-EPERM, answer_to(&plain, 1));
	EXPECT_EQ(-EPERM, answer_to(&plain, 2));
	EXPECT_EQ(0, answer_to(&plain, mine));
	/* Who is exempt sees all, and is still not told what is not its own. */
	EXPECT_EQ(0, answer_to(&exempt, 1));
	EXPECT_EQ(PRIVATE & info->supported, info->denied);

	EXPECT_EQ(-EINVAL, write_error(HIDEPID, "3"));
	EXPECT_EQ(-EINVAL, write_error(HIDEPID, "-1"));
	EXPECT_EQ(-EINVAL, write_error(HIDEPID, "x"));
	EXPECT_EQ(1, setting(HIDEPID));
	set_visibility(0, 0);
	EXPECT_EQ(0, answer_to(&plain, 1));
	finish(mine);
	unguard(hidepid);
	unguard(gid);
}

static void inherited(void)
{
	want(1, setting(HIDEPID));
	want(EXEMPT, setting(HIDEPID_GID));
	want(-EINVAL, write_error(HIDEPID, "0"));
	want(1, setting(HIDEPID));
	want(0, write_error(HIDEPID, "2"));
	want(-ESRCH, answer_to(&plain, 1));
	want(0, answer_to(&exempt, 1));
	/* Down again, but not below the parent's. */
	want(0, write_error(HIDEPID, "1"));
	want(-EPERM, answer_to(&plain, 1));
	want(-EINVAL, write_error(HIDEPID, "0"));
	want(1, setting(HIDEPID));
}

/*
 * In the inner of two namespaces, while the outer changes: the word says how far it
 * has got, the next how far this has.
 */
static void bound(void)
{
	want(0, setting(HIDEPID));
	want(0, answer_to(&plain, 1));
	want(0, write_error(HIDEPID_GID, "7001"));
	shared->word[1] = 1;

	/* The outer has gone to 2, for all but root's group. */
	until(shared->word[0] == 1);
	want(-ESRCH, answer_to(&plain, 1));
	want(-ESRCH, answer_to(&exempt, 1));
	want(0, answer_to(&root, 1));
	want(-EINVAL, write_error(HIDEPID, "0"));
	want(-EINVAL, write_error(HIDEPID, "1"));
	want(0, write_error(HIDEPID, "2"));
	want(-ESRCH, answer_to(&exempt, 1));
	shared->word[1] = 2;

	/* The group is exempt in both, ... */
	until(shared->word[0] == 2);
	want(-ESRCH, answer_to(&plain, 1));
	want(0, answer_to(&exempt, 1));
	/* ...or only in the outer, which is not enough either. */
	want(0, write_error(HIDEPID_GID, "0"));
	want(-ESRCH, answer_to(&exempt, 1));
	shared->word[1] = 3;

	/* What the outer takes back, the inner had for itself. */
	until(shared->word[0] == 3);
	want(-ESRCH, answer_to(&plain, 1));
	want(0, write_error(HIDEPID, "0"));
	want(0, answer_to(&plain, 1));
}

static void outer(void)
{
	pid_t inner;

	want(0, setting(HIDEPID));
	set_visibility(1, EXEMPT);
	want(0, run_in(CLONE_NEWPID | CLONE_NEWNS, inherited));
	want(1, setting(HIDEPID));
	set_visibility(0, 0);

	shared->word[0] = 0;
	shared->word[1] = 0;
	inner = spawn();
	if (!inner)
		_exit(run_in(CLONE_NEWPID | CLONE_NEWNS, bound) != 0);
	until(shared->word[1] == 1);
	set_visibility(2, 0);
	shared->word[0] = 1;
	until(shared->word[1] == 2);
	set_visibility(2, EXEMPT);
	shared->word[0] = 2;
	until(shared->word[1] == 3);
	set_visibility(0, 0);
	shared->word[0] = 3;
	want(0, reap(inner));
}

/* A namespace is at least as strict as the one it was made in. */
TEST(hidepid_namespaces)
{
	place();
	EXPECT_EQ(0, run_in(CLONE_NEWPID | CLONE_NEWNS, outer));
	/* None of it was ours. */
	EXPECT_EQ(0, setting(HIDEPID));
	EXPECT_EQ(0, setting(HIDEPID_GID));
}

static void may_not_write(void)
{
	static const char *const paths[] = { HIDEPID, HIDEPID_GID };
	static const char *const texts[] = { "0", "1", "2" };
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		long before = setting(paths[i]);

		for (j = 0; j < ARRAY_SIZE(texts); j++)
			want(true, refused(write_error(paths[i], texts[j])));
		want(before, setting(paths[i]));
	}
}

/* Only root outside may write, not who is root in a user namespace. */
TEST(hidepid_writers)
{
	char text[32];
	pid_t pid;

	place();
	pid = spawn();
	if (!pid) {
		become(NOBODY);
		may_not_write();
		_exit(0);
	}
	EXPECT_EQ(0, reap(pid));

	/* Still root's user, with all capabilities, in there. */
	pid = spawn_in(CLONE_NEWUSER | CLONE_NEWPID);
	if (!pid) {
		may_not_write();
		_exit(0);
	}
	EXPECT_EQ(0, reap(pid));

	/* A user who has made itself root. */
	pid = spawn();
	if (!pid) {
		become(USER);
		must(!prctl(PR_SET_DUMPABLE, 1));
		must(!unshare(CLONE_NEWUSER | CLONE_NEWPID));
		snprintf(text, sizeof(text), "0 %d 1", USER);
		must(write_file("/proc/self/uid_map", text));
		must(!geteuid());
		may_not_write();
		pid = spawn();
		if (!pid) {
			may_not_write();
			_exit(0);
		}
		_exit(!!reap(pid));
	}
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(0, shared->failures);
}

/*
 * Namespaces
 */

static void map_ids(pid_t pid, const char *file, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	must(write_file(path, text));
}

/* Ids are told as the caller's user namespace has them, and as none that it has not. */
TEST(user_namespace)
{
	const gid_t list[] = { 11, 12 };
	__u32 told[2];
	struct pid_info info;
	pid_t target, roots, looker;

	place();
	shared->word[0] = 0;
	roots = spawn_target(ROOTS);
	target = spawn();
	if (!target) {
		must(!setgroups(ARRAY_SIZE(list), list));
		must(!setresgid(USER, USER, 12) && !setresuid(USER, NOBODY, USER));
		must(!prctl(PR_SET_DUMPABLE, 1) && !prctl(PR_SET_NAME, "helper"));
		doze();
	}
	await_target(target);

	looker = spawn_in(CLONE_NEWUSER);
	if (!looker) {
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		/* Nobody is mapped, and root in there is root over nobody of here. */
		want(0, ask_into(target, ALL, &info, 0, told, sizeof(told)));
		want(NOBODY, info.uid);
		want(NOBODY, info.egid);
		want(PRIVATE & info.supported, info.denied);
		want(0, compare(target));
		/* The same user, with more capabilities than it has in here. */
		want(0, ask(roots, ALL, &info, 0));
		want(PRIVATE & info.supported, info.denied);
		want(0, compare(roots));

		shared->word[0] = 1;
		until(shared->word[0] == 2);
		want(0, ask_into(target, PID_INFO_CREDS | PID_INFO_GROUPS, &info, 0, told,
				 sizeof(told)));
		want(5, info.uid);
		want(NOBODY, info.euid);
		want(5, info.suid);
		want(NOBODY, info.gid);
		want(9, info.sgid);
		want(sizeof(told), info.groups.size);
		want(NOBODY, told[0]);
		want(9, told[1]);
		want(0, compare(target));
		_exit(0);
	}
	until(shared->word[0] == 1);
	map_ids(looker, "uid_map", "5 4711 1");
	map_ids(looker, "gid_map", "9 12 1");
	shared->word[0] = 2;
	EXPECT_EQ(0, reap(looker));
	EXPECT_EQ(0, shared->failures);
	finish(target);
	finish(roots);
}

/* Inside, ids are those of inside, and who is outside is 0 or not there. */
static void inside(void)
{
	static __u64 buffer[1 << 10];
	struct pid_info info, request = {}, *record = (void *)buffer;
	pid_t child, outside = shared->ids[0];
	__s32 ids[8];
	int i;

	child = spawn();
	if (!child) {
		must(setsid() == 2);
		if (!spawn())
			doze();
		shared->word[1] = 1;
		doze();
	}
	until(shared->word[1] && state_of(child) == 'S' && state_of(3) == 'S');
	want(0, compare(2));
	want(0, compare(3));

	want(0, ask_into(1, ALL & ~PIECES, &info, 0, NULL, 0));
	want(1, info.pid);
	want(1, info.tgid);
	want(0, info.ppid);
	want(0, info.pgid);
	want(0, info.sid);
	want(PID_INFO_PGRP | PID_INFO_SESSION, info.filled & (PID_INFO_PGRP | PID_INFO_SESSION));
	want(0, ask_into(1, PID_INFO_CHILDREN, &info, 0, ids, sizeof(ids)));
	want(sizeof(*ids), info.children.size);
	want(2, ids[0]);

	want(0, ask(2, ALL, &info, 0));
	want(2, info.pid);
	want(1, info.ppid);
	want(2, info.pgid);
	want(2, info.sid);
	want(0, ask(3, ALL, &info, 0));
	want(2, info.ppid);
	want(2, info.sid);

	/* The PIDs of outside are far above. */
	want(-ESRCH, ask(outside, 0, &info, 0));
	want(-ESRCH, ask(outside, 0, &info, PID_INFO_THREAD));
	want(-ESRCH, ask(4, 0, &info, 0));
	/* A pidfd of one of them tells no more. */
	want(-ESRCH, ask(shared->ids[1], 0, &info, PID_INFO_PIDFD));

	want(3, ask_many(0, 0, &request, 0, buffer, sizeof(buffer)));
	for (i = 1; i <= 3; i++, record = next_record(record))
		want(i, record->pid);
	shared->word[0] = 1;
	doze();
}

TEST(pid_namespace)
{
	struct pid_info info;
	__s32 ids[8];
	pid_t outside, runner, init;

	place();
	outside = spawn_doze();
	memset(shared, 0, sizeof(*shared));
	shared->ids[0] = outside;
	shared->ids[1] = pidfd_open(outside);
	runner = spawn();
	if (!runner) {
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		_exit(run_in(CLONE_NEWPID | CLONE_NEWNS, inside) != SIGKILL);
	}
	until(shared->word[0] || waitpid(runner, NULL, WNOHANG));
	ASSERT_EQ(1, shared->word[0]);
	EXPECT_EQ(0, shared->failures);

	/* From outside all have ids of outside. */
	EXPECT_EQ(0, ask_into(runner, PID_INFO_CHILDREN, &info, 0, ids, sizeof(ids)));
	EXPECT_EQ(sizeof(*ids), info.children.size);
	init = ids[0];
	EXPECT_EQ(0, ask_into(init, ALL, &info, 0, NULL, 0));
	EXPECT_EQ(init, info.pid);
	EXPECT_EQ(init, info.tgid);
	EXPECT_EQ(runner, info.ppid);
	EXPECT_EQ(getpgrp(), info.pgid);
	EXPECT_EQ(getsid(0), info.sid);
	until(state_of(init) == 'S');
	EXPECT_EQ(0, compare(init));
	EXPECT_EQ(0, ask_into(init, PID_INFO_CHILDREN, &info, 0, ids, sizeof(ids)));
	EXPECT_EQ(sizeof(*ids), info.children.size);
	EXPECT_LT(init, ids[0]);
	EXPECT_EQ(0, compare(ids[0]));
	EXPECT_EQ(0, ask(ids[0], ALL, &info, 0));
	EXPECT_EQ(init, info.ppid);
	must(!kill(init, SIGKILL));
	EXPECT_EQ(0, reap(runner));
	finish(outside);
}

/* One process as those of three PID namespaces, one in the other, know it. */
static void innermost(void)
{
	struct pid_info info;

	want(0, ask(1, ALL, &info, 0));
	want(1, info.pid);
	want(1, info.tgid);
	want(0, info.ppid);
	want(0, info.pgid);
	want(0, info.sid);
	want(-ESRCH, ask(2, ALL, &info, 0));
	shared->word[0] = 1;
	doze();
}

TEST(pid_namespace_nested)
{
	struct pid_info info;
	__s32 ids[4];
	pid_t init, last;

	place();
	memset(shared, 0, sizeof(*shared));
	init = spawn_in(CLONE_NEWPID);
	if (!init) {
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		/* As 2 start a process whose child, 3, is the third's init. */
		if (!spawn()) {
			must(!unshare(CLONE_NEWPID));
			if (!spawn())
				innermost();
			doze();
		}
		until(shared->word[0] == 1);
		want(0, ask_into(3, ALL, &info, 0, NULL, 0));
		want(3, info.pid);
		want(3, info.tgid);
		want(2, info.ppid);
		want(0, ask_into(2, PID_INFO_CHILDREN, &info, 0, ids, sizeof(ids)));
		want(sizeof(*ids), info.children.size);
		want(3, ids[0]);
		shared->word[0] = 2;
		doze();
	}
	until(shared->word[0] == 2);
	EXPECT_EQ(0, shared->failures);

	/* Here, where /proc has its ids in all of them. */
	ASSERT_EQ(0, ask_into(init, PID_INFO_CHILDREN, &info, 0, ids, sizeof(ids)));
	ASSERT_EQ(0, ask_into(ids[0], PID_INFO_CHILDREN, &info, 0, ids, sizeof(ids)));
	last = ids[0];
	until(state_of(last) == 'S');
	EXPECT_EQ(0, compare(last));
	EXPECT_EQ(0, ask_into(last, PID_INFO_NSPIDS, &info, 0, ids, sizeof(ids)));
	EXPECT_EQ(3 * sizeof(*ids), info.nspids.size);
	EXPECT_EQ(last, ids[0]);
	EXPECT_EQ(3, ids[1]);
	EXPECT_EQ(1, ids[2]);
	finish(init);
}

/* A program with another's rights: see run_program(). */
static int helper(void)
{
	must(!prctl(PR_SET_NAME, "helper"));
	doze();
	return KSFT_FAIL;
}

int main(int argc, char **argv)
{
	if (!strcmp(argv[0], "helper"))
		return helper();
	setup();
	return test_harness_run(argc, argv);
}
