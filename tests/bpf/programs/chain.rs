// Names that Rust mangles: a trait's method, a generic function, a closure.
use std::hint::black_box;

trait Wait {
    fn wait(&self);
}

struct Queue<T>(T);

impl<T: Copy> Wait for Queue<T> {
    #[inline(never)]
    fn wait(&self) {
        nap();
        black_box(());
    }
}

#[inline(always)]
fn nap() {
    let time: [i64; 2] = [1000, 0];
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("syscall", inlateout("rax") 35_i64 => _, in("rdi") &time, in("rsi") 0,
            out("rcx") _, out("r11") _);
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("svc 0", in("x8") 101, inlateout("x0") &time => _, in("x1") 0);
    }
}

mod inside {
    use super::Wait;

    #[inline(never)]
    pub fn generic<W: Wait>(waiter: &W) {
        waiter.wait();
        super::black_box(());
    }
}

#[inline(never)]
fn call<F: Fn(u32)>(f: F) {
    f(black_box(1));
    black_box(());
}

fn main() {
    let queue = Queue(black_box(7_u8));
    call(
        #[inline(never)]
        |_| {
            inside::generic(&queue);
            black_box(());
        },
    );
}
