// BCC's macros ask for a version; our programs never do: they ask BTF.
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + (c))
#define LINUX_VERSION_CODE KERNEL_VERSION(6, 18, 0)
