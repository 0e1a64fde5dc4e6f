// Goes the whole way with functions of its own before a user comes, so that the runtime, the compiler and the server
// have everything they need translated and loaded.
using System;
using System.IO;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;

namespace Fission.Server
{
    static class Warmup
    {
        /// Specializes a server of its own with every file of the folder.
        internal static async Task Run(string folder)
        {
            foreach (var file in Directory.GetFiles(folder))
            {
                var socket = Path.Combine(Path.GetTempPath(), "warm-" + Guid.NewGuid().ToString("n"));
                using (var server = Program.Make(socket, 0))
                {
                    await server.StartAsync(new Service(), CancellationToken.None);
                    var load = JsonSerializer.Serialize(new { filepath = file, functionName = "" });
                    await Ask(socket, "POST", "/v2/specialize", load);
                    await Ask(socket, "GET", "/a?b=c", "");
                    await Ask(socket, "POST", "/", "{\"Name\":\"warm\"}");
                    await server.StopAsync(CancellationToken.None);
                }
                File.Delete(socket);
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
