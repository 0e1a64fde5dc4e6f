//! Attempts on the kernel itself: calls that no function needs.

use crate::ground::Ground;

const REFUSED: [&str; 1] = ["EPERM"];

pub(crate) async fn mounts_are_refused(ground: &Ground) {
    let names = "mount,umount2,pivot_root,chroot,open_tree,move_mount,fsopen,fsconfig,fsmount,fspick,mount_setattr";
    ground.all_refused(&format!("calls&names={names}"), &REFUSED).await;
}

pub(crate) async fn namespaces_are_refused(ground: &Ground) {
    ground.all_refused("namespaces", &["EPERM", "ENOSYS"]).await;
}

pub(crate) async fn keys_are_refused(ground: &Ground) {
    ground.all_refused("calls&names=keyctl,add_key,request_key", &REFUSED).await;
}

pub(crate) async fn programs_in_the_kernel_are_refused(ground: &Ground) {
    ground.all_refused("calls&names=bpf,perf_event_open,userfaultfd,fanotify_init,lookup_dcookie", &REFUSED).await;
}

pub(crate) async fn io_uring_is_refused(ground: &Ground) {
    // Libraries ask whether it is there, and are told that it is not.
    ground.all_refused("calls&names=io_uring_setup,io_uring_enter,io_uring_register", &["ENOSYS", "EPERM"]).await;
}

pub(crate) async fn the_machine_cannot_be_changed(ground: &Ground) {
    let names = "kexec_load,init_module,finit_module,delete_module,reboot,swapon,swapoff,quotactl,acct,syslog,\
                 sethostname,setdomainname,vhangup,open_by_handle_at,name_to_handle_at,kcmp,pidfd_getfd";
    ground.all_refused(&format!("calls&names={names}"), &REFUSED).await;
}

pub(crate) async fn the_clock_cannot_be_set(ground: &Ground) {
    ground.all_refused("calls&names=settimeofday,clock_settime,adjtimex,clock_adjtime", &REFUSED).await;
}

pub(crate) async fn words_cannot_be_put_into_a_terminal(ground: &Ground) {
    ground.all_refused("terminal", &REFUSED).await;
}
