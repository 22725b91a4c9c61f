/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs of other names, and thus groups, that are this one: it starts itself by a
 * link, and sees by its name what it is to do.
 */
#ifndef ROLES_H
#define ROLES_H

#include <limits.h>
#include <string.h>

#include "ft.h"

static const char *role_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The folder of the links, made when it is first asked for. */
static const char *roles(void)
{
	static char path[] = "/tmp/roles.XXXXXX";
	static int is_made;

	if (!is_made)
		CHECK(mkdtemp(path));
	is_made = 1;
	return path;
}

/* The link for a role; the same buffer each time. */
static const char *role_path(const char *role)
{
	static char path[PATH_MAX];
	char program[PATH_MAX] = "";

	snprintf(path, sizeof(path), "%s/%s", roles(), role);
	CHECK(readlink("/proc/self/exe", program, sizeof(program) - 1) > 0);
	CHECK(!symlink(program, path) || errno == EEXIST);
	return path;
}

static void forget_role(const char *role)
{
	CHECK(!unlink(role_path(role)));
	rmdir(roles());	/* with the last one */
}

#endif
