// Goes the whole way with functions of its own before a user comes, so that the runtime, the compiler and the server
// have everything they need translated and loaded.
using System;
using System.IO;
using System.Linq;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;

namespace Fission.Server
{
    static class Warmup
    {
        /// How long nobody must have come before `Deepen` begins, and before it goes round again. Longer than the 100 ms for
        /// which the runtime waits, after it has translated something for the first time, before it counts calls.
        static readonly TimeSpan Idle = TimeSpan.FromMilliseconds(250);

        /// In the second round the runtime finds what is called often and translates it well. Else it would begin that
        /// beside the first function that is compiled.
        const int Rounds = 2;

        /// Specializes a server of its own with every file and folder of the folder.
        internal static async Task Run(string folder)
        {
            foreach (var code in Directory.GetFileSystemEntries(folder).Where(path => Path.GetFileName(path) != "idle"))
            {
                var socket = Path.Combine(Path.GetTempPath(), "warm-" + Guid.NewGuid().ToString("n"));
                using (var server = Program.Make(socket, 0))
                {
                    await server.StartAsync(new Service(), CancellationToken.None);
                    var load = JsonSerializer.Serialize(new { filepath = code, functionName = "" });
                    await Ask(socket, "POST", "/v2/specialize", load);
                    await Ask(socket, "GET", "/a?b=c", "");
                    await Ask(socket, "POST", "/", "{\"Name\":\"warm\"}");
                    await server.StopAsync(CancellationToken.None);
                }
                File.Delete(socket);
            }
        }

        /// Compiles and calls functions that use more of the language and the framework, one after the other, while the
        /// server listens and nobody has come: an instance that is needed at once does not wait for it.
        internal static async Task Deepen(string folder, Service service)
        {
            try
            {
                var files = Directory.GetFiles(folder).OrderBy(name => name, StringComparer.Ordinal).ToArray();
                for (var round = 0; round < Rounds; round++)
                {
                    await Task.Delay(Idle, service.Asked);
                    foreach (var file in files)
                    {
                        var assembly = Compiler.Compile(new[] { file }, null, new Package(null, null), service.Asked);
                        var function = Loading.Find(assembly, "", folder, Path.GetFileName(file));
                        service.Asked.ThrowIfCancellationRequested();
                        await Answers.Write(new DefaultHttpContext(), await function.Call(new DefaultHttpContext()));
                        service.Asked.ThrowIfCancellationRequested();
                    }
                }
                // Else the first function would pay for what these have left.
                GC.Collect();
            }
            catch (OperationCanceledException) when (service.Asked.IsCancellationRequested)
            {
                // Somebody has come, and needs the processor more.
            }
            catch (Exception error)
            {
                Console.Error.WriteLine($"warming up: {Loading.Explain(error)}");
            }
        }

        static async Task Ask(string path, string method, string target, string body)
        {
            using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(path));
                var request = $"{method} {target} HTTP/1.1\r\nHost: warm\r\nConnection: close\r\nX-Warm: up\r\nContent-Length: {body.Length}\r\n\r\n{body}";
                using (var stream = new NetworkStream(socket))
                using (var reader = new StreamReader(stream))
                {
                    var bytes = Encoding.UTF8.GetBytes(request);
                    await stream.WriteAsync(bytes, 0, bytes.Length);
                    var answer = await reader.ReadToEndAsync();
                    if (!answer.StartsWith("HTTP/1.1 200")) throw new InvalidOperationException($"warming up failed: {answer}");
                }
            }
        }
    }
}
