/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PIDINFOD_ASM_PAGE_H
#define PIDINFOD_ASM_PAGE_H

#define PAGE_SIZE 4096UL

#endif
