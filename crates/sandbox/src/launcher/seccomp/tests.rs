//! Tests of the filter: the compiled program is run here, by a machine of a few lines, for every number there is.

use super::*;

/// What the kernel would return for a call.
fn run(program: &BpfProgram, number: u32, arguments: [u64; 6]) -> u32 {
    let mut data = [0_u32; 16];
    (data[0], data[1]) = (number, if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 });
    for (index, argument) in arguments.into_iter().enumerate() {
        (data[4 + 2 * index], data[5 + 2 * index]) = (argument as u32, (argument >> 32) as u32);
    }
    let (mut at, mut word) = (0, 0);
    loop {
        let step = &program[at];
        let (k, either) = (step.k, |holds: bool| usize::from(if holds { step.jt } else { step.jf }));
        at += 1 + match step.code {
            0x20 => {
                word = data[k as usize / 4];
                0
            }
            0x54 => {
                word &= k;
                0
            }
            0x05 => k as usize,
            0x15 => either(word == k),
            0x25 => either(word > k),
            0x35 => either(word >= k),
            0x06 => return k,
            other => panic!("instruction {other:#x}"),
        };
    }
}

const ALLOW: u32 = 0x7fff_0000;

fn errno(error: i32) -> u32 {
    0x0005_0000 | error as u32
}

fn usual() -> BpfProgram {
    Filter::new().unwrap().usual
}

#[test]
fn the_program_says_what_the_table_says_for_every_number() {
    let (program, verdicts) = (usual(), calls::verdicts(&[]).unwrap());
    for number in 0..=1000 {
        let said = run(&program, number, [0; 6]);
        match verdicts.get(&number) {
            Some(Verdict::Allow) => assert_eq!(said, ALLOW, "{number}"),
            Some(Verdict::Refuse(error)) => assert_eq!(said, errno((*error).into()), "{number}"),
            Some(Verdict::If(_)) => {}
            None => assert_eq!(said, errno(if number < 470 { libc::EPERM } else { libc::ENOSYS }), "{number}"),
        }
    }
}

#[test]
fn what_reaches_beyond_the_instance_is_refused() {
    let program = usual();
    for number in [
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_bpf,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_reboot,
        libc::SYS_settimeofday,
        libc::SYS_clock_settime,
        libc::SYS_adjtimex,
        libc::SYS_quotactl,
        libc::SYS_acct,
        libc::SYS_open_by_handle_at,
        libc::SYS_swapon,
        libc::SYS_move_mount,
        libc::SYS_pidfd_getfd,
        libc::SYS_io_uring_enter,
    ] {
        assert_eq!(run(&program, number as u32, [0; 6]), errno(libc::EPERM), "{number}");
    }
}

#[test]
fn a_process_and_a_thread_may_be_made_and_a_namespace_may_not() {
    let program = usual();
    let clone = |flags: i32| run(&program, libc::SYS_clone as u32, [flags as u32 as u64, 0, 0, 0, 0, 0]);
    let thread = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
    assert_eq!((clone(libc::SIGCHLD), clone(thread)), (ALLOW, ALLOW));
    for namespace in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        assert_eq!(clone(namespace | libc::SIGCHLD), errno(libc::EPERM), "{namespace:#x}");
    }
    assert_eq!(run(&program, libc::SYS_clone3 as u32, [0; 6]), errno(libc::ENOSYS), "libraries fall back to clone");
}

#[test]
fn sockets_are_ordinary_ones() {
    let program = usual();
    let socket = |family: i32, kind: i32, protocol: i32| {
        run(&program, libc::SYS_socket as u32, [family as u64, kind as u64, protocol as u64, 0, 0, 0])
    };
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    assert_eq!(socket(libc::AF_INET, libc::SOCK_STREAM | flags, libc::IPPROTO_TCP), ALLOW);
    assert_eq!(socket(libc::AF_UNIX, libc::SOCK_DGRAM | flags, 0), ALLOW);
    assert_eq!(socket(libc::AF_NETLINK, libc::SOCK_RAW | flags, libc::NETLINK_ROUTE), ALLOW);
    for (family, kind, protocol) in [
        (libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        (libc::AF_PACKET, libc::SOCK_RAW, 0),
        (libc::AF_PACKET, libc::SOCK_DGRAM, 0),
        (libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER),
        (libc::AF_INET, libc::SOCK_DGRAM, libc::IPPROTO_SCTP),
        (libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        (libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    ] {
        assert_eq!(socket(family, kind, protocol), errno(libc::EPERM), "{family} {kind} {protocol}");
    }
}

#[test]
fn arguments_that_only_look_different_to_the_kernel_do_not_get_through() {
    let program = usual();
    let ioctl = |request: u64| run(&program, libc::SYS_ioctl as u32, [0, request, 0, 0, 0, 0]);
    // The kernel takes the lower half, so a filter that compared both would let these pass.
    for request in [0x5412, 0x541c, 0xffff_ffff_0000_5412, 0x1_0000_5412] {
        assert_eq!(ioctl(request), errno(libc::EPERM), "{request:#x}");
    }
    assert_eq!(ioctl(0x5413), ALLOW, "the size of a terminal may be asked for");
    let personality = |value: u64| run(&program, libc::SYS_personality as u32, [value, 0, 0, 0, 0, 0]);
    assert_eq!((personality(0), personality(0xffff_ffff)), (ALLOW, ALLOW));
    assert_eq!(personality(0x004_0000), errno(libc::EPERM), "addresses stay random");
    let device = run(&program, libc::SYS_mknodat as u32, [0, 0, 0o020_666, 0, 0, 0]);
    assert_eq!(device, errno(libc::EPERM));
}

#[test]
fn calls_of_another_processor_end_the_process() {
    let mut program = usual();
    program[1].k = 1; // as if this were not the processor the filter was made for
    assert_eq!(run(&program, 0, [0; 6]), 0x8000_0000);
}

#[test]
fn the_second_set_of_numbers_of_x86_is_refused() {
    assert_eq!(run(&usual(), 0x4000_0000 | 59, [0; 6]), errno(libc::ENOSYS));
}

#[test]
fn an_environment_may_add_what_is_harmless_enough_and_is_told_what_that_is() {
    let verdicts = calls::verdicts(&["ptrace".to_owned()]).unwrap();
    let program = program::compile(&verdicts).unwrap();
    assert_eq!(run(&program, libc::SYS_ptrace as u32, [0; 6]), ALLOW);
    let refused = check_also(&["mount".to_owned()]).unwrap_err();
    assert!(refused.contains("mount is not") && refused.contains("ptrace"), "{refused}");
}

#[test]
fn the_program_is_short() {
    let length = usual().len();
    assert!(length < 700, "{length} instructions");
}
