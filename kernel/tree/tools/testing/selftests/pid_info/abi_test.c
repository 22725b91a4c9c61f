// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info(): sizes, flags, masks, pointers, and the buffer.
 */
#include "pid_info_test.h"

#define GUARD	0xa5

/* How much of the structure this kernel knows. */
static size_t known_size(void)
{
	static unsigned char bytes[4096];
	struct pid_info *info = (void *)bytes;

	memset(bytes, 0, sizeof(bytes));
	must(!get_pid_info(0, info, sizeof(bytes), 0));
	return info->size;
}

/* Whether all of @bytes from @start to @end are GUARD. */
static bool guarded(const void *bytes, size_t start, size_t end)
{
	const unsigned char *at = bytes;

	while (start < end && at[start] == GUARD)
		start++;
	return start >= end;
}

TEST(sizes)
{
	const size_t page = sysconf(_SC_PAGESIZE), ver0 = PID_INFO_SIZE_VER0;
	const size_t ver1 = PID_INFO_SIZE_VER1, known = known_size();
	const struct {
		size_t size;
		size_t mark;	/* where a byte is not 0 */
		int expected;
	} rows[] = {
		{ 0, 0, -EINVAL },
		{ 1, 0, -EINVAL },
		{ ver0 - 8, 0, -EINVAL },
		{ ver0 - 1, 0, -EINVAL },
		{ ver0, 0, 0 },
		{ ver0, ver0, 0 },
		{ ver0 + 1, ver0, 0 },
		{ ver0 + 8, 0, 0 },
		{ ver1 - 1, ver1 - 2, 0 },
		{ ver1, ver1 - 1, 0 },
		{ ver1, ver1, 0 },
		{ known, known - 1, 0 },
		{ known + 1, 0, 0 },
		{ known + 1, known, -E2BIG },
		{ known + 8, 0, 0 },
		{ known + 8, known, -E2BIG },
		{ known + 8, known + 7, -E2BIG },
		{ known + 8, known + 8, 0 },
		{ page, 0, 0 },
		{ page, page - 1, -E2BIG },
		{ page + 1, 0, -E2BIG },
		{ page + 1, page, -E2BIG },
		{ SIZE_MAX, 0, -E2BIG },
	};
	static unsigned char bytes[16384], before[16384];
	struct pid_info *info = (void *)bytes;
	unsigned int i;

	EXPECT_EQ(ver0, offsetof(struct pid_info, exe));
	EXPECT_EQ(ver1, sizeof(*info));
	EXPECT_LE(ver1, known);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t told = rows[i].size < known ? rows[i].size : known;

		memset(bytes, 0, sizeof(bytes));
		info->wanted = ALL;
		if (rows[i].mark)
			bytes[rows[i].mark] = 0x80;
		memcpy(before, bytes, sizeof(bytes));
		EXPECT_EQ(rows[i].expected, get_pid_info(0, bytes, rows[i].size, 0))
			TH_LOG("size %zu, mark at %zu", rows[i].size, rows[i].mark);
		if (rows[i].expected)
			told = 0;
		EXPECT_EQ(told, info->size);
		EXPECT_EQ(told ? getpid() : 0, info->pid);
		/* An error leaves all as it was, an answer what is behind it. */
		EXPECT_EQ(0, memcmp(bytes + told, before + told, sizeof(bytes) - told))
			TH_LOG("size %zu, mark at %zu", rows[i].size, rows[i].mark);
	}
}

/* A caller of each size gets the groups that end within it, and no byte more. */
TEST(every_size)
{
	const size_t ver1 = PID_INFO_SIZE_VER1;
	static unsigned char bytes[2 * PID_INFO_SIZE_VER1];
	struct pid_info *info = (void *)bytes, whole;
	size_t size;

	ASSERT_EQ(0, ask(0, ALL, &whole, 0));
	for (size = PID_INFO_SIZE_VER0; size <= ver1; size++) {
		__u64 within = groups_within(size);

		memset(bytes, GUARD, sizeof(bytes));
		memset(bytes, 0, offsetof(struct pid_info, size));
		info->wanted = ALL;
		ASSERT_EQ(0, get_pid_info(0, info, size, 0));
		EXPECT_EQ(size, info->size);
		EXPECT_EQ(whole.supported & within, info->supported)
			TH_LOG("size %zu", size);
		EXPECT_EQ(whole.filled & within, info->filled)
			TH_LOG("size %zu", size);
		EXPECT_EQ(NULL, mask_fault(info, ALL))
			TH_LOG("size %zu: %s", size, mask_fault(info, ALL));
		EXPECT_EQ(0, stale_bytes_within(info, size))
			TH_LOG("size %zu", size);
		EXPECT_TRUE(guarded(bytes, size, sizeof(bytes)))
			TH_LOG("size %zu", size);
	}
	/* A caller of old, who knows no more. */
	EXPECT_EQ(PID_INFO_EXE - 1, groups_within(PID_INFO_SIZE_VER0));
	EXPECT_EQ(ALL, groups_within(ver1));
}

TEST(flags)
{
	const unsigned int known = PID_INFO_THREAD | PID_INFO_PIDFD | PID_INFO_MANY;
	struct pid_info info = {};
	int bit;

	EXPECT_EQ(0, get_pid_info(0, &info, sizeof(info), 0));
	EXPECT_EQ(0, get_pid_info(0, &info, sizeof(info), PID_INFO_THREAD));
	for (bit = 0; bit < 32; bit++) {
		if (known >> bit & 1)
			continue;
		EXPECT_EQ(-EINVAL, get_pid_info(0, &info, sizeof(info), 1U << bit))
			TH_LOG("bit %d", bit);
		EXPECT_EQ(-EINVAL, get_pid_info(0, &info, sizeof(info),
						1U << bit | PID_INFO_THREAD))
			TH_LOG("bit %d with PID_INFO_THREAD", bit);
		EXPECT_EQ(-EINVAL, get_pid_info(0, &info, sizeof(info),
						1U << bit | PID_INFO_MANY))
			TH_LOG("bit %d with PID_INFO_MANY", bit);
	}
}

/* Whether pidfds have inodes of their own: their file system says so. */
static bool has_pidfs(void)
{
	struct statfs fs;
	int fd = pidfd_open(getpid());

	must(!fstatfs(fd, &fs));
	close(fd);
	return fs.f_type == 0x50494446;		/* PID_FS_MAGIC */
}

/* All groups can be told with the options of the file config. */
TEST(supported)
{
	struct pid_info info;

	EXPECT_EQ(0, ask(0, 0, &info, 0));
	EXPECT_EQ(has_pidfs() ? ALL : ALL & ~PID_INFO_INODE, info.supported);
}

/* What was asked for is told, and nothing else is touched. */
TEST(masks)
{
	struct pid_info info;
	pid_t pid = spawn_doze();
	int bit;

	EXPECT_EQ(0, ask(pid, 0, &info, 0));
	EXPECT_EQ(PID_INFO_IDENT, info.filled);
	EXPECT_EQ(0, info.denied);
	EXPECT_EQ(0, info.wanted);
	EXPECT_EQ(0, info.buffer_needed);
	EXPECT_EQ(0, stale_bytes(&info));
	EXPECT_EQ(pid, info.pid);
	EXPECT_EQ('S', info.state);

	for (bit = 0; bit < 64; bit++) {
		__u64 wanted = 1ULL << bit;

		EXPECT_EQ(0, ask(pid, wanted, &info, 0));
		EXPECT_EQ((wanted & LIVING & info.supported) | PID_INFO_IDENT, info.filled)
			TH_LOG("bit %d", bit);
		EXPECT_EQ(0, info.denied);
		EXPECT_EQ(wanted, info.wanted);
		EXPECT_EQ(0, stale_bytes(&info))
			TH_LOG("bit %d", bit);

		/* And all but this one. */
		EXPECT_EQ(0, ask(pid, ~wanted, &info, 0));
		EXPECT_EQ((~wanted & LIVING & info.supported) | PID_INFO_IDENT, info.filled)
			TH_LOG("all but bit %d", bit);
		EXPECT_EQ(0, info.denied);
		EXPECT_EQ(~wanted, info.wanted);
		EXPECT_EQ(0, stale_bytes(&info))
			TH_LOG("all but bit %d", bit);
	}
	finish(pid);
}

/* The masks of all groups of all kinds of tasks, as the caller @uid sees them. */
static void want_consistent(uid_t uid, const pid_t *pids, unsigned int count)
{
	__u64 denied = 0, missing = 0;
	struct pid_info info;
	unsigned int i;
	int bit;

	if (uid)
		become(uid);
	for (i = 0; i < count; i++) {
		for (bit = -1; bit < 64; bit++) {
			__u64 wanted = bit < 0 ? ~0ULL : 1ULL << bit;

			must(!ask(pids[i], wanted, &info, 0));
			if (mask_fault(&info, wanted))
				fprintf(stderr, "# %d, %llx: %s\n", pids[i], wanted,
					mask_fault(&info, wanted));
			want(true, !mask_fault(&info, wanted));
			want(0, stale_bytes(&info));
			denied |= info.denied;
			missing |= wanted & info.supported & ~info.filled & ~info.denied;
		}
	}
	/* Of each of the three answers there was one. */
	want(PID_INFO_MEM, missing & PID_INFO_MEM);
	want(uid ? READ_GROUPS & ~PID_INFO_EXIT : 0, denied & READ_GROUPS & ~PID_INFO_EXIT);
}

TEST(masks_consistent)
{
	const pid_t pids[] = { 1, 2, getpid(), spawn_doze(), spawn_zombie(3) };
	const uid_t uids[] = { 0, NOBODY };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(uids); i++) {
		int failures = shared->failures;
		pid_t looker = spawn();

		if (!looker) {
			want_consistent(uids[i], pids, ARRAY_SIZE(pids));
			_exit(shared->failures != failures);
		}
		EXPECT_EQ(0, reap(looker));
	}
	finish(pids[3]);
	reap(pids[4]);
}

/* A structure that is used again asks the same again. */
TEST(masks_reused)
{
	struct pid_info info = { .wanted = ALL }, fresh;
	pid_t zombie = spawn_zombie(0), living = spawn_doze();

	/* The first has no memory, the second is not there, the third not nobody's. */
	EXPECT_EQ(0, get_pid_info(2, &info, sizeof(info), 0));
	EXPECT_EQ(0, info.filled & PID_INFO_MEM);
	EXPECT_EQ(0, get_pid_info(zombie, &info, sizeof(info), 0));
	EXPECT_EQ(0, info.filled & PID_INFO_CWD);
	reap(zombie);
	EXPECT_EQ(-ESRCH, get_pid_info(zombie, &info, sizeof(info), 0));
	EXPECT_EQ(ALL, info.wanted);

	EXPECT_EQ(0, get_pid_info(living, &info, sizeof(info), 0));
	EXPECT_EQ(0, ask(living, ALL, &fresh, 0));
	EXPECT_EQ(ALL, info.wanted);
	EXPECT_EQ(LIVING & fresh.supported, info.filled);
	EXPECT_EQ(fresh.filled, info.filled);
	finish(living);
}

/*
 * What the caller gave comes back, and nothing of what was there before: neither in
 * the answer nor as if it had been asked.
 */
TEST(nothing_stale)
{
	char buffers[2][4096];
	struct pid_info infos[2];
	pid_t pid = spawn_doze();
	unsigned int i;

	for (i = 0; i < 2; i++) {
		memset(&infos[i], i ? 0xff : 0, sizeof(*infos));
		infos[i].wanted = ~0ULL;
		infos[i].buffer = (uintptr_t)buffers[i];
		infos[i].buffer_size = sizeof(*buffers);
		infos[i].match_inode = 0;
		infos[i].match_start_ns = 0;
		infos[i].string_max = 4000 + i;
		infos[i].cursor = -7 - (int)i;
		ASSERT_EQ(0, get_pid_info(pid, &infos[i], sizeof(*infos), 0));

		EXPECT_EQ(~0ULL, infos[i].wanted);
		EXPECT_EQ((uintptr_t)buffers[i], infos[i].buffer);
		EXPECT_EQ(sizeof(*buffers), infos[i].buffer_size);
		EXPECT_EQ(0, infos[i].match_inode);
		EXPECT_EQ(0, infos[i].match_start_ns);
		EXPECT_EQ(4000 + i, infos[i].string_max);
		EXPECT_EQ(-7 - (int)i, infos[i].cursor);
		EXPECT_EQ(0, stale_bytes(&infos[i]));

		/* Everything that differs between the two calls. */
		EXPECT_NE(0, infos[i].age_ns);
		infos[i].age_ns = 0;
		infos[i].sigq_len = 0;
		infos[i].buffer = 0;
		infos[i].string_max = 0;
		infos[i].cursor = 0;
	}
	EXPECT_EQ(0, memcmp(&infos[0], &infos[1], sizeof(*infos)));
	finish(pid);
}

/* Two pages, of which the second is nobody's. */
static char *map_edge(void)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(pages != MAP_FAILED);
	must(!mprotect(pages + page, page, PROT_NONE));
	return pages;
}

static char *map_readonly(void)
{
	char *page = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(page != MAP_FAILED);
	return page;
}

TEST(pointers)
{
	const size_t page = sysconf(_SC_PAGESIZE), size = sizeof(struct pid_info);
	char *readonly = map_readonly(), *pages = map_edge(), *end = pages + page;
	struct pid_info *info;

	EXPECT_EQ(-EFAULT, get_pid_info(0, NULL, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(0, (void *)8, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(0, (void *)-8L, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(0, (void *)LONG_MIN, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(0, readonly, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(0, end, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(0, end - 8, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(0, end - size + 8, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(0, end - known_size(), page, 0));

	info = (void *)(end - size);
	EXPECT_EQ(0, get_pid_info(0, info, size, 0));
	EXPECT_EQ(getpid(), info->pid);
	/* The structure of old does not have to be followed by anything. */
	info = (void *)(end - PID_INFO_SIZE_VER0);
	EXPECT_EQ(0, get_pid_info(0, info, PID_INFO_SIZE_VER0, 0));
	EXPECT_EQ(getpid(), info->pid);
	/* Aligned to nothing: the call takes what memcpy() would. */
	info = (void *)(pages + 1);
	EXPECT_EQ(0, get_pid_info(0, info, size, 0));
}

/* The buffer: who cannot take the answer gets none. */
TEST(buffer_pointers)
{
	char *readonly = map_readonly(), *pages = map_edge();
	char *end = pages + sysconf(_SC_PAGESIZE);
	const uintptr_t bad[] = { 0, 8, -8L, LONG_MIN, (uintptr_t)readonly, (uintptr_t)end };
	struct pid_info info;
	unsigned int i;
	pid_t pid;
	int bit;

	must(!setgroups(0, NULL));
	pid = spawn_doze();
	for (bit = 0; bit < 64; bit++) {
		__u64 wanted = 1ULL << bit;
		unsigned int needed;

		ASSERT_EQ(0, ask(pid, wanted, &info, 0));
		needed = info.buffer_needed;
		EXPECT_EQ(!needed, !(wanted & PIECES & ~PID_INFO_CHILDREN & ~PID_INFO_GROUPS))
			TH_LOG("bit %d needs %u", bit, needed);
		for (i = 0; i < ARRAY_SIZE(bad); i++) {
			/* Without room nothing is written, wherever it points. */
			EXPECT_EQ(0, ask_into(pid, wanted, &info, 0, (void *)bad[i], 0));
			/* With room only what there is to be put there. */
			EXPECT_EQ(needed ? -EFAULT : 0,
				  ask_into(pid, wanted, &info, 0, (void *)bad[i], 4096))
				TH_LOG("bit %d at %lx", bit, bad[i]);
		}
		if (!needed)
			continue;
		/* Up to the last byte, of more room than there is. */
		EXPECT_EQ(0, ask_into(pid, wanted, &info, 0, end - needed, ~0U));
		EXPECT_EQ(wanted | PID_INFO_IDENT, info.filled);
		EXPECT_EQ(-EFAULT, ask_into(pid, wanted, &info, 0, end - 1, ~0U));
		EXPECT_EQ(-EFAULT, ask_into(pid, wanted, &info, 0, (void *)-8L, ~0U));
	}
	finish(pid);
}

#ifdef __x86_64__
#define X32	0x40000000	/* arch/x86/include/uapi/asm/unistd.h: __X32_SYSCALL_BIT */

/* An x32 program's call on a kernel without x32, which has no call of that number. */
TEST(x32)
{
	struct pid_info info = {};

	if (syscall(X32 + __NR_getppid) > 0)
		SKIP(return, "this kernel has x32");
	EXPECT_EQ(-1, syscall(X32 + __NR_get_pid_info, 0, &info, sizeof(info), 0));
	note_error(-errno);
	EXPECT_STREQ("ENOSYS", strerrorname_np(errno));
}
#endif

/*
 * The buffer
 */

static const struct {
	__u64 bit;
	size_t at;	/* of its pid_info_data */
} pieces[] = {
	{ PID_INFO_CHILDREN, offsetof(struct pid_info, children) },
	{ PID_INFO_ROOT, offsetof(struct pid_info, root) },
	{ PID_INFO_CWD, offsetof(struct pid_info, cwd) },
	{ PID_INFO_EXE, offsetof(struct pid_info, exe) },
	{ PID_INFO_CMDLINE, offsetof(struct pid_info, cmdline) },
	{ PID_INFO_NAME, offsetof(struct pid_info, name) },
	{ PID_INFO_GROUPS, offsetof(struct pid_info, groups) },
	{ PID_INFO_NSPIDS, offsetof(struct pid_info, nspids) },
};

static struct pid_info_data data_of(const struct pid_info *info, unsigned int nr)
{
	struct pid_info_data data;

	memcpy(&data, (const char *)info + pieces[nr].at, sizeof(data));
	return data;
}

/* A sleeper with something in each piece, of sizes that are no multiples of 8. */
static pid_t spawn_rich(void)
{
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		const gid_t gids[] = { 11, 12, 13, 14, 15 };
		int i;

		must(!setgroups(ARRAY_SIZE(gids), gids));
		must(!prctl(PR_SET_NAME, "rich"));
		must(!mkdir(SCRATCH "/some where", 0700) && !chdir(SCRATCH "/some where"));
		for (i = 0; i < 3; i++)
			spawn_doze();
		shared->word[0] = 1;
		doze();
	}
	until(shared->word[0] && state_of(pid) == 'S');
	return pid;
}

/* Whatever the room is: what fits is whole, what does not is told, and no more. */
TEST(buffer_room)
{
	static char whole[4096], room[4096];
	struct pid_info reference, info;
	unsigned int size, needed = 0, i;
	pid_t pid;

	scratch();
	pid = spawn_rich();
	ASSERT_EQ(0, ask_into(pid, PIECES, &reference, 0, whole, sizeof(whole)));
	EXPECT_EQ(PIECES | PID_INFO_IDENT, reference.filled);
	EXPECT_STREQ(SCRATCH "/some where", piece(whole, reference.cwd));
	EXPECT_STREQ("/", piece(whole, reference.root));
	EXPECT_STREQ("rich", piece(whole, reference.name));
	EXPECT_EQ(sizeof("rich"), reference.name.size);
	EXPECT_EQ(3 * sizeof(__s32), reference.children.size);
	EXPECT_EQ(5 * sizeof(__u32), reference.groups.size);
	EXPECT_EQ(sizeof(__s32), reference.nspids.size);
	EXPECT_EQ(pid, *(__s32 *)piece(whole, reference.nspids));
	for (i = 0; i < ARRAY_SIZE(pieces); i++)
		needed += ROUND_UP_8(data_of(&reference, i).size);
	EXPECT_EQ(needed, reference.buffer_needed);

	for (size = 0; size <= needed + 16; size++) {
		unsigned char used[sizeof(room)] = {};
		unsigned int missing = 0, overlaps = 0, at;

		memset(room, GUARD, sizeof(room));
		ASSERT_EQ(0, ask_into(pid, PIECES, &info, 0, room, size));
		EXPECT_EQ(PIECES | PID_INFO_IDENT, info.filled);
		EXPECT_EQ(needed, info.buffer_needed)
			TH_LOG("room for %u", size);
		EXPECT_TRUE(guarded(room, size, sizeof(room)))
			TH_LOG("room for %u", size);
		for (i = 0; i < ARRAY_SIZE(pieces); i++) {
			struct pid_info_data data = data_of(&info, i);
			struct pid_info_data there = data_of(&reference, i);

			EXPECT_EQ(there.size, data.size);
			if (data.offset == PID_INFO_NO_ROOM) {
				missing++;
				continue;
			}
			EXPECT_EQ(0, data.offset % 8);
			ASSERT_LE(data.offset + data.size, size)
				TH_LOG("room for %u, piece %u", size, i);
			EXPECT_EQ(0, memcmp(piece(room, data), piece(whole, there), data.size))
				TH_LOG("room for %u, piece %u", size, i);
			for (at = data.offset; at < data.offset + data.size; at++)
				overlaps += used[at]++;
		}
		EXPECT_EQ(0, overlaps);
		EXPECT_TRUE(missing == ARRAY_SIZE(pieces) || size);
		/* The last may do without the bytes that round it up. */
		EXPECT_TRUE(missing ? size < needed : size + 7 >= needed)
			TH_LOG("room for %u: %u are missing", size, missing);
	}
	finish(pid);
}

/* Each piece alone, with its exact room and one byte less, and with string_max. */
TEST(buffer_exact)
{
	static char whole[4096], room[4096];
	struct pid_info reference, info;
	struct pid_info_data data;
	unsigned int i, j;
	pid_t pid;

	scratch();
	pid = spawn_rich();
	for (i = 0; i < ARRAY_SIZE(pieces); i++) {
		const __u64 bit = pieces[i].bit;
		unsigned int size;

		ASSERT_EQ(0, ask_into(pid, bit, &reference, 0, whole, sizeof(whole)));
		size = data_of(&reference, i).size;
		ASSERT_LT(0, size);
		EXPECT_EQ(ROUND_UP_8(size), reference.buffer_needed);

		EXPECT_EQ(0, ask_into(pid, bit, &info, 0, room, ROUND_UP_8(size)));
		data = data_of(&info, i);
		EXPECT_EQ(0, data.offset);
		EXPECT_EQ(size, data.size);
		EXPECT_EQ(0, memcmp(room, piece(whole, data_of(&reference, i)), size));

		memset(room, GUARD, sizeof(room));
		EXPECT_EQ(0, ask_into(pid, bit, &info, 0, room, size - 1));
		data = data_of(&info, i);
		EXPECT_EQ(bit | PID_INFO_IDENT, info.filled);
		EXPECT_EQ(PID_INFO_NO_ROOM, data.offset);
		EXPECT_EQ(size, data.size);
		EXPECT_EQ(ROUND_UP_8(size), info.buffer_needed);
		EXPECT_TRUE(guarded(room, size - 1, sizeof(room)));

		/* The same room, and string_max at and below what this one takes. */
		for (j = 0; j < 2; j++) {
			memset(&info, 0, sizeof(info));
			info.wanted = PIECES;
			info.buffer = (uintptr_t)room;
			info.buffer_size = sizeof(room);
			info.string_max = size - j;
			ASSERT_EQ(0, get_pid_info(pid, &info, sizeof(info), 0));
			EXPECT_EQ(PIECES | PID_INFO_IDENT, info.filled);
			EXPECT_EQ(size - j, info.string_max);
			data = data_of(&info, i);
			EXPECT_EQ(size, data.size);
			EXPECT_EQ(j, data.offset == PID_INFO_NO_ROOM);
		}
		/* It goes for each of them alike, whatever their order. */
		for (j = 0; j < ARRAY_SIZE(pieces); j++) {
			data = data_of(&info, j);
			EXPECT_EQ(data.size > size - 1, data.offset == PID_INFO_NO_ROOM);
		}
	}
	finish(pid);
}

int main(int argc, char **argv)
{
	setup();
	return test_harness_run(argc, argv);
}
