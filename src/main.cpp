#include "qloft/cli.h"

int main(int argc, char** argv) { return qloft::cli::run(argc, argv); }
