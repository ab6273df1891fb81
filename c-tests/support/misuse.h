/*
 * Catches what the library logs, to check that a call was refused and that the log says so.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "test.h"

/* Forgets what was logged so far and takes every record from now on, in place of the handler. */
void misuse_catch(void);
/* Records of the area "ffi" since then. The other areas log on threads of their own. */
unsigned misuse_count(void);

/* There is such a record, and each is an error that begins with the function's name and ": ". */
void misuse_check_at(const char *file, int line, const char *text, const char *function);
void misuse_check_none_at(const char *file, int line, const char *text);

/* The statement is refused: the log says so, under the name of the function. */
#define CHECK_MISUSE(function, ...)                                                                \
    do {                                                                                           \
        misuse_catch();                                                                            \
        __VA_ARGS__;                                                                               \
        misuse_check_at(__FILE__, __LINE__, #__VA_ARGS__, function);                               \
    } while (0)
/* The log has nothing to say against the statement. */
#define CHECK_NO_MISUSE(...)                                                                       \
    do {                                                                                           \
        misuse_catch();                                                                            \
        __VA_ARGS__;                                                                               \
        misuse_check_none_at(__FILE__, __LINE__, #__VA_ARGS__);                                    \
    } while (0)

#endif
