// What the tests share with the product for users' tests.
@_exported public import class AsyncIOTesting.Counter
@_exported public import class AsyncIOTesting.Log
@_exported public import struct AsyncIOTesting.Randomness
@_exported public import func AsyncIOTesting.until
