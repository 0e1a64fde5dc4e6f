// The server of the dotnet environment: warms itself up, listens, and ends on SIGTERM when what it serves is served.
using System;
using System.IO;
using System.Net;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace Fission.Server
{
    static class Program
    {
        /// Threads that are made at once when functions block; beyond these the runtime adds about two a second.
        const int Threads = 64;

        /// Bytes of all headers of a request, and of its first line.
        const int MaxHeaderBytes = 1024 * 1024;
        const int MaxRequestLineBytes = 64 * 1024;

        /// Headers of a request.
        const int MaxHeaders = 1000;

        /// Kestrel adds it to the time of its clock, which an infinite one would overflow.
        static readonly TimeSpan Never = TimeSpan.FromDays(3650);

        static Task<int> Main(string[] arguments) =>
            arguments.Length == 3 && arguments[0] == "build" ? Task.FromResult(Build.Run(arguments[1], arguments[2])) : Serve();

        static async Task<int> Serve()
        {
            ThreadPool.SetMinThreads(Threads, Threads);
            Lines.Install();
            var warm = Path.Combine(AppContext.BaseDirectory, "warm");
            await Warmup.Run(warm);

            var socket = Environment.GetEnvironmentVariable("FISSION_SOCKET");
            if (!int.TryParse(Environment.GetEnvironmentVariable("RUNTIME_PORT"), out var port)) port = 8888;
            var server = Make(string.IsNullOrEmpty(socket) ? null : socket, port);
            var service = new Service();
            await server.StartAsync(service, CancellationToken.None);
            _ = Task.Run(() => Warmup.Deepen(Path.Combine(warm, "idle"), service));
            await Termination();
            await server.StopAsync(CancellationToken.None);
            Lines.FlushAll();
            // Threads of the function must not keep a drained server alive.
            Ended.Set();
            Environment.Exit(0);
            return 0;
        }

        static readonly ManualResetEventSlim Ended = new ManualResetEventSlim();

        /// Done when the process is asked to end.
        static Task Termination()
        {
            var asked = new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
#if POSIX_SIGNALS
            foreach (var signal in new[] { System.Runtime.InteropServices.PosixSignal.SIGTERM, System.Runtime.InteropServices.PosixSignal.SIGINT })
            {
                registrations.Add(System.Runtime.InteropServices.PosixSignalRegistration.Create(signal, context =>
                {
                    context.Cancel = true;
                    asked.TrySetResult(true);
                }));
            }
#else
            Console.CancelKeyPress += (sender, cancel) =>
            {
                cancel.Cancel = true;
                asked.TrySetResult(true);
            };
            // SIGTERM ends the process when this handler returns.
            AppDomain.CurrentDomain.ProcessExit += (sender, arguments) =>
            {
                asked.TrySetResult(true);
                Ended.Wait();
                Environment.ExitCode = 0;
            };
#endif
            return asked.Task;
        }

#if POSIX_SIGNALS
        static readonly System.Collections.Generic.List<IDisposable> registrations = new System.Collections.Generic.List<IDisposable>();
#endif

        /// A server on a unix socket, or without one on a port.
        internal static KestrelServer Make(string socket, int port)
        {
            var options = new KestrelServerOptions { AddServerHeader = false };
            var limits = options.Limits;
            limits.MaxRequestBodySize = Service.MaxBodyBytes;
            limits.MaxRequestHeadersTotalSize = MaxHeaderBytes;
            limits.MaxRequestHeaderCount = MaxHeaders;
            limits.MaxRequestLineSize = MaxRequestLineBytes;
            limits.MaxRequestBufferSize = MaxHeaderBytes + MaxRequestLineBytes;
            // Slow clients are the platform's to judge. Without any rate Kestrel 3.1 never tells a client to go on that asks
            // first (`Expect: 100-continue`).
            limits.MinRequestBodyDataRate = new MinDataRate(double.Epsilon, Never);
            limits.MinResponseDataRate = null;
            // Idle connections are closed by the one who opened them: no request can meet a closing connection.
            limits.KeepAliveTimeout = Never;
            if (socket != null)
            {
                File.Delete(socket);
                options.ListenUnixSocket(socket);
            }
            else
            {
                options.Listen(IPAddress.Any, port);
            }
            var logs = NullLoggerFactory.Instance;
            var transport = new SocketTransportFactory(Options.Create(new SocketTransportOptions()), logs);
            return new KestrelServer(Options.Create(options), transport, logs);
        }
    }
}
