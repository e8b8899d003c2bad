//! A program as small as can be that has what unwinding and naming read: made by hand, so that its bytes are the same
//! wherever it is made.

/// Where its code begins, in the file as in memory.
pub const CODE: u64 = 0x40;
/// Bytes of its code.
const CODE_SIZE: u64 = 0x40;

const PROGBITS: u32 = 1;
const SYMTAB: u32 = 2;
const STRTAB: u32 = 3;
const NAMES: &[u8] = b"\0.text\0.eh_frame\0.symtab\0.strtab\0";
const SYMBOLS: &[u8] = b"\0crash\0main\0";

/// The file: two functions, of which the rules of one are an expression.
#[must_use]
pub fn bytes() -> Vec<u8> {
    let mut file = vec![0; CODE as usize];
    // A call, so that what follows may be a return address.
    file.extend([0xe8, 0, 0, 0, 0]);
    file.resize((CODE + CODE_SIZE) as usize, 0x90);
    let mut place = |bytes: &[u8]| {
        let offset = file.len() as u64;
        file.extend(bytes);
        file.resize(file.len().next_multiple_of(8), 0);
        (offset, bytes.len() as u64)
    };
    let text = (CODE, CODE_SIZE);
    let eh_frame = place(&unwind_table(CODE + CODE_SIZE));
    let symtab = place(&[[0; 24].to_vec(), symbol(1, CODE, 0x20), symbol(7, CODE + 0x20, 0x20)].concat());
    let strtab = place(SYMBOLS);
    let names = place(NAMES);
    let segment = place(&load((CODE + CODE_SIZE) * 16));
    let sections = [
        section(0, 0, (0, 0), 0),
        section(1, PROGBITS, text, 0),
        section(7, PROGBITS, eh_frame, 0),
        section(17, SYMTAB, symtab, 4),
        section(25, STRTAB, strtab, 0),
        section(25, STRTAB, names, 0),
    ];
    let (table, _) = place(&sections.concat());
    file[..CODE as usize].copy_from_slice(&header(segment.0, table, sections.len() as u16));
    file
}

/// Numbers, each of so many bytes.
fn packed(parts: &[(u64, usize)]) -> Vec<u8> {
    parts.iter().flat_map(|(number, size)| number.to_le_bytes().into_iter().take(*size)).collect()
}

fn header(segments: u64, sections: u64, count: u16) -> Vec<u8> {
    // 64 bits, little-endian; a shared object for x86-64. It has no entry, where each stack would end.
    let ident = [&b"\x7fELF\x02\x01\x01"[..], &[0; 9]].concat();
    let kind = [(3, 2), (62, 2), (1, 4), (0, 8), (segments, 8), (sections, 8), (0, 4)];
    let sizes = [(64, 2), (56, 2), (1, 2), (64, 2), (u64::from(count), 2), (u64::from(count) - 1, 2)];
    [ident, packed(&kind), packed(&sizes)].concat()
}

/// The segment that is loaded: all of the file, readable and executable.
fn load(size: u64) -> Vec<u8> {
    packed(&[(1, 4), (5, 4), (0, 8), (0, 8), (0, 8), (size, 8), (size, 8), (4096, 8)])
}

fn section(name: u64, kind: u32, (offset, size): (u64, u64), link: u64) -> Vec<u8> {
    packed(&[
        (name, 4),
        (kind.into(), 4),
        (2, 8),
        (offset, 8),
        (offset, 8),
        (size, 8),
        (link, 4),
        (0, 4),
        (8, 8),
        (0, 8),
    ])
}

/// A global function.
fn symbol(name: u64, address: u64, size: u64) -> Vec<u8> {
    packed(&[(name, 4), (0x12, 1), (0, 1), (1, 2), (address, 8), (size, 8)])
}

/// The table at `address`. The first function has pushed rbp; the frame of the second one is found through memory.
fn unwind_table(address: u64) -> Vec<u8> {
    let cie = [&[0, 0, 0, 0, 1][..], b"zR\0", &[1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1, 0, 0]].concat();
    let mut table = entry(&cie);
    // CFA is rsp + 16, rbp is below the return address; and: CFA is what rbp - 8 points to.
    for (begin, rules) in [(CODE, &[0x0e, 16, 0x86, 2][..]), (CODE + 0x20, &[0x0f, 3, 0x76, 0x78, 0x06])] {
        let at = table.len() as u64;
        let distance = begin.wrapping_sub(address + at + 8);
        table.extend(entry(&[&packed(&[(at + 4, 4), (distance, 4), (0x20, 4), (0, 1)]), rules].concat()));
    }
    [table, vec![0; 4]].concat()
}

fn entry(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(body.len().next_multiple_of(4), 0);
    [packed(&[(body.len() as u64, 4)]), body].concat()
}
