import { hostArchitecture } from '../native/native-programs.ts'

interface SeccompRule {
  names: string[]
  action: 'SCMP_ACT_ALLOW' | 'SCMP_ACT_ERRNO'
  errnoRet?: number
  args?: Array<{ index: number; value: number; valueTwo?: number; op: string }>
}

export interface SeccompProfile {
  defaultAction: 'SCMP_ACT_ERRNO'
  defaultErrnoRet: number
  architectures: string[]
  syscalls: SeccompRule[]
}

const EPERM = 1
const ENOSYS = 38

// What an ordinary program needs, by what it is for. Left out on purpose, beside what a capability opens below: io_uring
// (a whole second system call table), userfaultfd and key rings (kernel exploits' favourite tools), and what is obsolete.
const ALLOWED = `
  read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 sendfile sendfile64 splice tee vmsplice
  copy_file_range lseek _llseek close close_range dup dup2 dup3 pipe pipe2 fcntl fcntl64 ioctl flock

  open openat openat2 creat access faccessat faccessat2 stat stat64 fstat fstat64 lstat lstat64 newfstatat fstatat64 statx
  statfs statfs64 fstatfs fstatfs64 getdents getdents64 readlink readlinkat link linkat symlink symlinkat unlink unlinkat
  rename renameat renameat2 mkdir mkdirat rmdir mknod mknodat chdir fchdir getcwd umask chmod fchmod fchmodat fchmodat2
  chown chown32 fchown fchown32 fchownat lchown lchown32 truncate truncate64 ftruncate ftruncate64 fallocate fadvise64
  fadvise64_64 readahead sync syncfs fsync fdatasync sync_file_range utime utimes utimensat utimensat_time64 futimesat
  getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat listxattr llistxattr flistxattr
  listxattrat removexattr lremovexattr fremovexattr removexattrat name_to_handle_at memfd_create memfd_secret
  inotify_init inotify_init1 inotify_add_watch inotify_rm_watch fanotify_mark cachestat statmount listmount

  mmap mmap2 munmap mremap mprotect madvise msync mincore brk mlock mlock2 mlockall munlock munlockall remap_file_pages
  pkey_alloc pkey_free pkey_mprotect membarrier process_mrelease map_shadow_stack mseal

  fork vfork execve execveat exit exit_group wait4 waitid waitpid kill tkill tgkill pidfd_open pidfd_send_signal
  getpid getppid gettid getpgid getpgrp setpgid getsid setsid set_tid_address set_robust_list get_robust_list
  set_thread_area get_thread_area arch_prctl prctl rseq restart_syscall uname sysinfo getcpu times getrusage
  getrlimit ugetrlimit setrlimit prlimit64 getpriority setpriority ioprio_get ioprio_set nice
  sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam
  sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval
  sched_rr_get_interval_time64 capget capset seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self

  getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getgroups getgroups32 getresuid getresuid32
  getresgid getresgid32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid setresuid32
  setresgid setresgid32 setgroups setgroups32 setfsuid setfsuid32 setfsgid setfsgid32

  rt_sigaction rt_sigprocmask rt_sigpending rt_sigqueueinfo rt_tgsigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
  rt_sigtimedwait_time64 sigaltstack sigprocmask sigreturn signalfd signalfd4 pause alarm

  time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep clock_nanosleep_time64
  nanosleep getitimer setitimer timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime
  timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64

  poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
  epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2
  futex futex_time64 futex_waitv futex_wait futex_wake futex_requeue

  socketpair bind listen accept accept4 connect getsockname getpeername getsockopt setsockopt shutdown send sendto
  sendmsg sendmmsg recv recvfrom recvmsg recvmmsg recvmmsg_time64 socketcall

  shmget shmat shmdt shmctl semget semop semtimedop semtimedop_time64 semctl msgget msgsnd msgrcv msgctl ipc
  mq_open mq_unlink mq_timedsend mq_timedsend_time64 mq_timedreceive mq_timedreceive_time64 mq_notify mq_getsetattr

  io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64
  getrandom process_vm_readv process_vm_writev ptrace kcmp
`

const BY_CAPABILITY: Record<string, string> = {
  CAP_DAC_READ_SEARCH: 'open_by_handle_at',
  CAP_SYS_ADMIN: `bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount mount_setattr
    move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare`,
  CAP_SYS_BOOT: 'reboot',
  CAP_SYS_CHROOT: 'chroot',
  CAP_SYS_MODULE: 'delete_module init_module finit_module',
  CAP_SYS_PACCT: 'acct',
  CAP_SYS_PTRACE: 'pidfd_getfd process_madvise',
  CAP_SYS_RAWIO: 'iopl ioperm',
  CAP_SYS_TIME: 'settimeofday stime clock_settime clock_settime64',
  CAP_SYS_TTY_CONFIG: 'vhangup',
  CAP_SYS_NICE: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node',
  CAP_SYSLOG: 'syslog',
  CAP_BPF: 'bpf',
  CAP_PERFMON: 'perf_event_open',
}

// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: a namespace of one's own is where most kernel
// exploits of recent years began.
const NEW_NAMESPACES = 0x7e02_0000
const AF_VSOCK = 40
// Linux, and SVR4-like with and without the 32-bit and randomisation flags that setarch and wine ask for.
const PERSONALITIES = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff]

/** The allow-list for containers that use the host's own kernel: what the field's engines allow by default. */
export function defaultSeccomp(capabilities: string[]): SeccompProfile {
  const allow = (names: string[], args?: SeccompRule['args']): SeccompRule => ({
    names,
    action: 'SCMP_ACT_ALLOW',
    ...(args ? { args } : {}),
  })
  const syscalls = [
    allow(words(ALLOWED)),
    // Sockets of the hypervisor bypass every network policy.
    allow(['socket'], [{ index: 0, value: AF_VSOCK, op: 'SCMP_CMP_NE' }]),
    ...PERSONALITIES.map((value) => allow(['personality'], [{ index: 0, value, op: 'SCMP_CMP_EQ' }])),
  ]
  const opened = Object.entries(BY_CAPABILITY).filter(([capability]) => capabilities.includes(capability))
  for (const [, names] of opened) syscalls.push(allow(words(names)))
  if (!capabilities.includes('CAP_SYS_ADMIN')) {
    syscalls.push(allow(['clone'], [{ index: 0, value: NEW_NAMESPACES, valueTwo: 0, op: 'SCMP_CMP_MASKED_EQ' }]))
    // Its flags are behind a pointer, where no filter looks; "not there" makes libraries use clone.
    syscalls.push({ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS })
  }
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: EPERM,
    architectures:
      hostArchitecture() === 'amd64'
        ? ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']
        : ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
    syscalls,
  }
}

function words(text: string): string[] {
  return text.trim().split(/\s+/)
}
