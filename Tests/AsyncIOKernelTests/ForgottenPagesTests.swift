import AsyncIOKernel
import Glibc
import Testing

@Suite("Memory that is given back")
struct ForgottenPagesTests {
    @Test("reads as zeros in the pages that lie within, and is untouched around them")
    func wholePages() {
        let pageSize = 4096
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 * pageSize, alignment: pageSize)
        defer { unsafe memory.deallocate() }
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 7)
        // Of another size of pages there may be none within: then everything is as it was.
        unsafe SystemCall.forgetPages(of: UnsafeRawBufferPointer(rebasing: memory[100..<(3 * pageSize + 100)]))
        let bytes = unsafe Array(memory)
        #expect(bytes[..<pageSize].allSatisfy { $0 == 7 } && bytes[(3 * pageSize)...].allSatisfy { $0 == 7 })
        #expect(bytes[pageSize..<(3 * pageSize)].allSatisfy { $0 == 0 } || getpagesize() != 4096)
    }

    @Test("stays what it was where no page lies within")
    func noPage() {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 8192, alignment: 4096)
        defer { unsafe memory.deallocate() }
        unsafe memory.initializeMemory(as: UInt8.self, repeating: 7)
        unsafe SystemCall.forgetPages(of: UnsafeRawBufferPointer(rebasing: memory[1..<8191]))
        unsafe SystemCall.forgetPages(of: UnsafeRawBufferPointer(rebasing: memory[0..<0]))
        let bytes = unsafe Array(memory)
        #expect(bytes.allSatisfy { $0 == 7 })
    }
}
