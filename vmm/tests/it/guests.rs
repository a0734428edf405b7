//! The guests: machine code in an ELF file with a PVH note.

use std::arch::global_asm;

/// Where guests are linked to; the first of memory that a kernel may use.
const LOAD_ADDRESS: u64 = 0x10_0000;

/// The bytes between two labels.
macro_rules! code {
    ($name:ident) => {{
        unsafe extern "C" {
            #[link_name = concat!(stringify!($name), "_start")]
            static START: u8;
            #[link_name = concat!(stringify!($name), "_end")]
            static END: u8;
        }
        let (start, end) = (&raw const START, &raw const END);
        // SAFETY: both labels are in the block below, the second after the first.
        unsafe { std::slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
    }};
}
/// Writes "ok" to the console and switches off.
pub(crate) fn print_and_power_off() -> Vec<u8> {
    elf(code!(guest_print))
}

/// Asks for a reset.
pub(crate) fn reset() -> Vec<u8> {
    elf(code!(guest_reset))
}

/// Causes an exception with no interrupt table, and then one in handling that.
pub(crate) fn triple_fault() -> Vec<u8> {
    elf(code!(guest_fault))
}

/// Polls the power button's event and switches off when it is pressed.
pub(crate) fn wait_for_power_button() -> Vec<u8> {
    elf(code!(guest_button))
}

/// Writes pseudo-random numbers into every register of the first PCI function, twice: its
/// configuration space and its register window. Then as the first guest.
pub(crate) fn write_garbage(seed: u32) -> Vec<u8> {
    let mut guest = elf(code!(guest_garbage));
    // The guest starts with `mov $seed, %esi`, whose operand is at its second byte.
    let operand = CODE_OFFSET as usize + 1;
    guest[operand..operand + 4].copy_from_slice(&seed.to_le_bytes());
    guest
}

global_asm!(
    ".pushsection .rodata",
    ".code32",
    // Console at 0x3f8; power registers from 0x600: sleep control, status, reset, events.
    "guest_print_start:",
    "    movw $0x3f8, %dx",
    "    movb $0x6f, %al",
    "    outb %al, %dx",
    "    movb $0x6b, %al",
    "    outb %al, %dx",
    "    movw $0x600, %dx",
    "    movb $0x34, %al",
    "    outb %al, %dx",
    "    jmp .",
    "guest_print_end:",
    "guest_reset_start:",
    "    movw $0x602, %dx",
    "    movb $0xa5, %al",
    "    outb %al, %dx",
    "    jmp .",
    "guest_reset_end:",
    "guest_fault_start:",
    "    movl $0x200000, %eax",
    "    movl $0, (%eax)",
    "    movl $0, 4(%eax)",
    "    lidt (%eax)",
    "    ud2",
    "guest_fault_end:",
    "guest_button_start:",
    "    movw $0x603, %dx",
    "2:  inb %dx, %al",
    "    testb $1, %al",
    "    jz 2b",
    "    movw $0x600, %dx",
    "    movb $0x34, %al",
    "    outb %al, %dx",
    "    jmp .",
    "guest_button_end:",
    "guest_garbage_start:",
    "    movl $1, %esi",
    "    movl $0x300000, %esp",
    "    movl $2, %ecx",
    "3:  movl $0xe0008000, %edi",
    "    movl $0xe0008200, %ebp",
    "    call 5f",
    "    movl $0xc0000000, %edi",
    "    movl $0xc0006000, %ebp",
    "    call 5f",
    "    decl %ecx",
    "    jnz 3b",
    "    jmp 7f",
    // Fills from EDI to EBP.
    "5:  imull $1664525, %esi, %esi",
    "    addl $1013904223, %esi",
    "    movl %esi, (%edi)",
    "    movb (%edi), %al",
    "    addl $4, %edi",
    "    cmpl %ebp, %edi",
    "    jb 5b",
    "    ret",
    "7:  movw $0x3f8, %dx",
    "    movb $0x6f, %al",
    "    outb %al, %dx",
    "    movb $0x6b, %al",
    "    outb %al, %dx",
    "    movw $0x600, %dx",
    "    movb $0x34, %al",
    "    outb %al, %dx",
    "    jmp .",
    "guest_garbage_end:",
    ".code64",
    ".popsection",
    options(att_syntax)
);

const HEADER_SIZE_BYTES: u64 = 64;
const SEGMENT_SIZE_BYTES: u64 = 56;
const NOTE_OFFSET: u64 = HEADER_SIZE_BYTES + 2 * SEGMENT_SIZE_BYTES;
const NOTE_SIZE_BYTES: u64 = 24;
const CODE_OFFSET: u64 = 0x1000;

/// An ELF file with `code` as its one loaded segment.
fn elf(code: &[u8]) -> Vec<u8> {
    const LOAD: u32 = 1;
    const NOTE: u32 = 4;
    const PVH_ENTRY: u32 = 18;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    // Executable, x86-64, version 1.
    put(&[2, 0, 0x3e, 0, 1, 0, 0, 0]);
    for value in [LOAD_ADDRESS, HEADER_SIZE_BYTES, 0] {
        put(&value.to_le_bytes());
    }
    put(&[0; 4]);
    for value in [HEADER_SIZE_BYTES as u16, SEGMENT_SIZE_BYTES as u16, 2, 64, 0, 0] {
        put(&value.to_le_bytes());
    }
    let size = code.len() as u64;
    for (kind, offset, address, size) in
        [(LOAD, CODE_OFFSET, LOAD_ADDRESS, size), (NOTE, NOTE_OFFSET, 0, NOTE_SIZE_BYTES)]
    {
        put(&kind.to_le_bytes());
        put(&[7, 0, 0, 0]);
        for value in [offset, address, address, size, size, 4] {
            put(&value.to_le_bytes());
        }
    }
    for value in [4, 8, PVH_ENTRY] {
        put(&value.to_le_bytes());
    }
    put(b"Xen\0");
    put(&LOAD_ADDRESS.to_le_bytes());
    file.resize(CODE_OFFSET as usize, 0);
    file.extend_from_slice(code);
    file
}
