/* base/parse.h - what a parser of bytes from outside may answer. */
#pragma once

enum parse {
    PARSE_OK,   /* complete; what was consumed is said beside it */
    PARSE_MORE, /* right so far, more bytes are needed */
    PARSE_BAD,  /* never going to be right; where and why is said beside it */
};
