using Fission.DotNetCore.Api;

public class FissionFunction
{
    public string Execute(FissionContext context) => context.GetSettings<Settings>("settings.json").Words[0];
}

public class Settings
{
    public string[] Words { get; set; }
}
