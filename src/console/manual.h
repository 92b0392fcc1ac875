/* console/manual.h - the interface's description, printed from its table of routes. */
#pragma once

#include <stdio.h>

/* A section of Markdown a path and method, for doc/api.md. */
void console_print_manual(FILE *out);

/* The members of OpenAPI's "paths" (OpenAPI 3.1). */
void console_print_openapi(FILE *out);
