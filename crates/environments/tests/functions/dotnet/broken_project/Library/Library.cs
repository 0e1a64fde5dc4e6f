public class Library
{
    public static int Size(string text) => text;
}
